using Stasis.Linux;

namespace Stasis.State;

/// <summary>Whether the clocks that count from boot go on from where the checkpoint left them, or are this host's.</summary>
public enum ClockPolicy
{
    /// <summary>As Continue where the rights allow it, else Real.</summary>
    Default,
    /// <summary>The time that the image lay on disk has not been: a time namespace takes it off CLOCK_MONOTONIC and CLOCK_BOOTTIME.</summary>
    Continue,
    /// <summary>The time that the image lay on disk has passed: timers and sleeps that came due meanwhile end at once.</summary>
    Real,
}

/// <summary>The clocks as a tree saw them at one moment, in nanoseconds.</summary>
public readonly record struct ClockReading(long Monotonic, long Boottime, long Realtime)
{
    private const int CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_BOOTTIME = 7;

    /// <summary>Now, as seen in a time namespace with these offsets.</summary>
    public static ClockReading Now(ClockOffsets offsets)
    {
        ClockOffsets own = ClockOffsets.Of("self");
        return new ClockReading(
            TaskQueries.Clock(CLOCK_MONOTONIC) - own.Monotonic + offsets.Monotonic,
            TaskQueries.Clock(CLOCK_BOOTTIME) - own.Boottime + offsets.Boottime,
            TaskQueries.Clock(CLOCK_REALTIME));
    }
}

/// <summary>What a restart does about time: the same for everything that waits in the tree.</summary>
/// <param name="PassedNanoseconds">What is taken off every timer and sleep on a clock that counts on while nobody looks: the time on disk, or 0 where the clocks go on from where they were.</param>
public readonly record struct ClockShift(long PassedNanoseconds)
{
    /// <summary>What is left of a timer; a timer that came due meanwhile expires at once (in the kernel, 0 would mean "disarmed").</summary>
    public long Remaining(long atCheckpoint) => atCheckpoint <= 0 ? atCheckpoint : Math.Max(1, atCheckpoint - PassedNanoseconds);
}
