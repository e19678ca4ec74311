using System.Globalization;

namespace Stasis.Linux;

/// <summary>
/// The offsets, in nanoseconds, that a time namespace adds to the host's CLOCK_MONOTONIC and CLOCK_BOOTTIME (man 7 time_namespaces,
/// since Linux 5.6).
/// </summary>
public readonly record struct ClockOffsets(long Monotonic, long Boottime)
{
    private const long Second = 1_000_000_000;

    /// <summary>Those that a process lives by; all zero where the kernel has no time namespaces.</summary>
    /// <param name="process">"self", or a pid.</param>
    public static ClockOffsets Of(string process)
    {
        (SysResult result, string text) = Files.ReadText($"/proc/{process}/timens_offsets");
        if (result.Failed) return default;
        ClockOffsets offsets = default;
        foreach (string line in text.Split('\n'))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 3 || !long.TryParse(words[1], CultureInfo.InvariantCulture, out long seconds) || !long.TryParse(words[2], CultureInfo.InvariantCulture, out long nanoseconds)) continue;
            long offset = checked(seconds * Second + nanoseconds);
            if (words[0] is "monotonic" or "1") offsets = offsets with { Monotonic = offset };
            if (words[0] is "boottime" or "7") offsets = offsets with { Boottime = offset };
        }
        return offsets;
    }

    /// <summary>
    /// Sets them for the namespace that the children of a process will be born in, once it has called unshare(CLONE_NEWTIME) and before
    /// it has a child. Takes CAP_SYS_TIME. Errors: EACCES when a process is in it already, ERANGE when a clock would be negative.
    /// </summary>
    public SysResult SetForChildrenOf(int pid) =>
        Files.WriteText($"/proc/{pid}/timens_offsets", string.Create(CultureInfo.InvariantCulture, $"monotonic {Line(Monotonic)}\nboottime {Line(Boottime)}\n"));

    // Nanoseconds are positive there, also of a negative offset.
    private static string Line(long offset)
    {
        long seconds = Math.DivRem(offset, Second, out long nanoseconds);
        return nanoseconds < 0
            ? string.Create(CultureInfo.InvariantCulture, $"{seconds - 1} {nanoseconds + Second}")
            : string.Create(CultureInfo.InvariantCulture, $"{seconds} {nanoseconds}");
    }
}
