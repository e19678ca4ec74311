using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Descriptors.IoUring;

/// <summary>The mappings by which a program shares memory with an io_uring (man 2 io_uring_setup).</summary>
public static class RingMappings
{
    public static bool Is(ProcMapping mapping) => mapping.Name == "anon_inode:[io_uring]";

    /// <summary>Why a mapping can't be made again; null when it can.</summary>
    public static string? Problem(ProcMapping mapping, IEnumerable<Sighting> all)
    {
        if (!mapping.Shared) return "a private mapping of an io_uring is not carried";
        if (mapping.Offset is not (IoUrings.IORING_OFF_SQ_RING or IoUrings.IORING_OFF_CQ_RING or IoUrings.IORING_OFF_SQES)) return "a part of the mapping of an io_uring, or one of its buffers, is not carried yet";
        return all.Any(sighting => sighting.Link == IoUringKind.Link && sighting.Status.Inode == mapping.Inode) ? null : "memory of an io_uring for which the tree has no descriptor any more is not carried yet";
    }

    /// <summary>
    /// Whether a buffer that was registered still is the memory that the process has at its address: it may have unmapped that since, and the
    /// kernel go on with pages that nobody sees.
    /// </summary>
    public static bool IsStill(int pid, RingBuffer buffer, ulong page) => KernelPages.FrameAt(pid, buffer.Address) is { } frame && KernelPages.StructOf(frame) == page;
}
