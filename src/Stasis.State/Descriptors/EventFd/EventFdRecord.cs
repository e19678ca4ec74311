namespace Stasis.State.Descriptors.EventFd;

/// <summary>An eventfd (man 2 eventfd): its counter, 0 to 2^64-2, and whether reads take one at a time.</summary>
public sealed record EventFdRecord : Description
{
    public ulong Value { get; init; }
    public bool Semaphore { get; init; }
}
