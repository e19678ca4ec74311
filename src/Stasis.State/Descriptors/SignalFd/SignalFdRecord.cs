namespace Stasis.State.Descriptors.SignalFd;

/// <summary>A signalfd (man 2 signalfd): the signals it reads, bit N-1 for signal N. What is pending belongs to the reading process.</summary>
public sealed record SignalFdRecord : Description
{
    public ulong Mask { get; init; }
}
