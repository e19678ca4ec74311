using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Memory;

namespace Stasis.State.SystemV;

/// <summary>What one shmat(2) gave a process: the whole segment at a place, of which parts may have got another protection, or been unmapped.</summary>
public sealed record SegmentAttach(int Segment, ulong Base, IReadOnlyList<MappingRecord> Pieces)
{
    private const string Prefix = "/SYSV";

    /// <summary>Whether a mapping is of a segment. Its inode number is then the segment's id (ipc/shm.c: "proc-ps tools use this").</summary>
    public static bool Is(ProcMapping mapping) => mapping.Shared && mapping.Name.StartsWith(Prefix, StringComparison.Ordinal) && mapping.Inode <= int.MaxValue;

    /// <summary>The attaches among the mappings of a process, which are in order of address.</summary>
    public static List<SegmentAttach> Of(IEnumerable<MappingRecord> mappings) =>
        [.. mappings.Where(mapping => mapping.Kind == MappingKind.Segment).GroupBy(mapping => (mapping.Object, unchecked(mapping.Start - mapping.Offset)))
            .Select(group => new SegmentAttach(group.Key.Object, group.Key.Item2, [.. group]))];

    /// <summary>The bytes of address space that an attach takes, or took before parts were unmapped.</summary>
    /// <param name="hugePage">The size of its pages where they are huge ones, else 0.</param>
    public static ulong Room(long size, ulong hugePage)
    {
        ulong page = Math.Max(hugePage, PageScan.PageSize);
        return ((ulong)size + page - 1) & ~(page - 1);
    }

    /// <summary>Whether something else lies where the segment would have to be attached.</summary>
    public bool IsOverlaid(ulong room, IEnumerable<(ulong Start, ulong End)> all) =>
        all.Any(other => other.Start < Base + room && Base < other.End && !Pieces.Any(piece => piece.Start == other.Start));

    /// <summary>Attaches it anew and cuts it as it was.</summary>
    public void Add(Tape tape, ulong room)
    {
        ulong end = Base + room;
        // "mw": may be made writable; an attach for reading only lacks it for good.
        bool writable = Pieces.Any(piece => piece.Flags.Contains("mw"));
        bool executable = Pieces.Any(piece => ((Protection)piece.Protection & Protection.Execute) != 0);
        tape.Call($"shmat of segment {Segment} at {Base:x}", Syscall.shmat, Segment, Base, (writable ? 0 : SysvIpc.SHM_RDONLY) | (executable ? SysvIpc.SHM_EXEC : 0));
        ulong at = Base;
        foreach (MappingRecord piece in Pieces)
        {
            if (piece.Start > at) tape.Call($"munmap of {at:x}-{piece.Start:x}", Syscall.munmap, at, piece.Start - at);
            at = piece.End;
        }
        if (end > at) tape.Call($"munmap of {at:x}-{end:x}", Syscall.munmap, at, end - at);
        // Two pieces of one protection stay apart, as the kernel never merges them again, and counts each (nattch): another one for a moment.
        for (int i = 1; i < Pieces.Count; i += 2) tape.Call($"mprotect of {Pieces[i].Start:x}", Syscall.mprotect, Pieces[i].Start, Pieces[i].Length, 0);
        Protection given = Protection.Read | (writable ? Protection.Write : 0) | (executable ? Protection.Execute : 0);
        for (int i = 0; i < Pieces.Count; i++)
            if (i % 2 == 1 || Pieces[i].Protection != (int)given) tape.Call($"mprotect of {Pieces[i].Start:x}", Syscall.mprotect, Pieces[i].Start, Pieces[i].Length, Pieces[i].Protection);
    }
}
