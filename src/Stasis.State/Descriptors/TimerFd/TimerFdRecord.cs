namespace Stasis.State.Descriptors.TimerFd;

/// <summary>A timerfd (man 2 timerfd_create). Times in nanoseconds.</summary>
public sealed record TimerFdRecord : Description
{
    public int Clock { get; init; }

    /// <summary>Flags of the last timerfd_settime: 1 absolute, 2 cancelled when the clock is set.</summary>
    public int SetFlags { get; init; }

    /// <summary>Until the next expiry; 0 for a timer that is not armed.</summary>
    public long RemainingNanoseconds { get; init; }
    public long IntervalNanoseconds { get; init; }

    /// <summary>For an absolute timer on a clock of wall time: the time it expires at, which stays the same however long the image lies.</summary>
    public long? ExpiresAtNanoseconds { get; init; }

    /// <summary>Expirations that have not been read.</summary>
    public ulong Ticks { get; init; }
}
