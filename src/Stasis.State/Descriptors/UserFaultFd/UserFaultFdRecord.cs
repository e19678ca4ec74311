using Stasis.State.Memory;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors.UserFaultFd;

/// <summary>A run of pages of a process.</summary>
public sealed record AddressRun(ulong Start, ulong End);

/// <summary>One mapping that is registered (UFFDIO_REGISTER): which faults are handed over, which pages are there, which are protected from writes.</summary>
/// <param name="Modes">UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP.</param>
/// <param name="Present">All others are missing, and the program is to be told when they are touched. A page of zeros may be present.</param>
public sealed record WatchedRange(ulong Start, ulong End, int Modes, int Protection, AddressRun[] Present, AddressRun[] Protected);

/// <summary>A userfaultfd (man 2 userfaultfd): the memory of one process that it watches, whoever holds it.</summary>
public sealed record UserFaultFdRecord : Description
{
    /// <summary>The process whose memory it watches.</summary>
    public required int Process { get; init; }

    /// <summary>UFFD_FEATURE_*, as asked for by UFFDIO_API.</summary>
    public required uint Features { get; init; }

    /// <summary>Faults inside of system calls are not handed over (UFFD_USER_MODE_ONLY).</summary>
    public bool UserModeOnly { get; init; }
    public WatchedRange[] Ranges { get; init; } = [];

    /// <summary>Whether the ranges are mappings of that process, and the runs lie in them in order.</summary>
    public bool Fits(ProcessRecord process) => process.SharesMemoryWith == 0 && Ranges.All(range =>
        process.Mappings.Any(mapping => mapping.Start == range.Start && mapping.End == range.End && mapping is { Kind: MappingKind.Anonymous, Shared: false } && mapping.Protection == range.Protection)
        && range.Modes is > 0 and <= 3 && InOrder(range.Present, range) && InOrder(range.Protected, range))
        && Ranges.Zip(Ranges.Skip(1)).All(pair => pair.First.End <= pair.Second.Start);

    private static bool InOrder(AddressRun[] runs, WatchedRange range)
    {
        ulong start = range.Start;
        foreach (AddressRun run in runs)
        {
            if (run.Start < start || run.End <= run.Start || run.End > range.End || (run.Start | run.End) % 4096 != 0) return false;
            start = run.End;
        }
        return true;
    }
}
