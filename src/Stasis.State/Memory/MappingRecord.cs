using Stasis.Image;
using Stasis.State.Threads;

namespace Stasis.State.Memory;

public enum MappingKind
{
    /// <summary>Private memory with no file behind it (heap, stack, malloc).</summary>
    Anonymous,
    /// <summary>A mapping of an <see cref="ObjectRecord"/>, private or shared.</summary>
    Object,
    /// <summary>The kernel's own pages: vdso, vvar.</summary>
    Kernel,
    /// <summary>System V shared memory, attached.</summary>
    Segment,
    /// <summary>A part of an io_uring's memory.</summary>
    Ring,
    /// <summary>A context of asynchronous I/O (io_setup).</summary>
    AsyncContext,
    /// <summary>A part of the ring of a packet socket.</summary>
    PacketRing,
}

/// <summary>A run of guard pages (madvise MADV_GUARD_INSTALL).</summary>
public sealed record GuardRun(ulong Start, ulong End);

/// <summary>A part of a mapping with a NUMA policy of its own (man 2 mbind).</summary>
public sealed record PolicyRun(ulong Start, ulong End, MemoryPolicyRecord Policy);

/// <summary>One mapping of a process. Flags are the two-letter VmFlags of smaps that are set by advice (man 5 proc_pid_smaps).</summary>
public sealed record MappingRecord
{
    public required ulong Start { get; init; }
    public required ulong End { get; init; }
    public required int Protection { get; init; }

    /// <summary>Its memory protection key; see <see cref="ProtectionKeys"/>.</summary>
    public int Key { get; init; }
    public required bool Shared { get; init; }
    public required MappingKind Kind { get; init; }
    public ulong Offset { get; init; }

    /// <summary>The length of what can only be mapped as a whole (<see cref="MappingKind.PacketRing"/>); else 0.</summary>
    public ulong Whole { get; init; }

    /// <summary>The object mapped, the id of the System V segment, or the description of an io_uring or packet socket; 0 for anonymous memory.</summary>
    public int Object { get; init; }

    /// <summary>Name of an anonymous mapping (prctl PR_SET_VMA_ANON_NAME) or of a kernel mapping ("[vdso]").</summary>
    public string Name { get; init; } = "";
    public string[] Flags { get; init; } = [];

    /// <summary>The pages it holds itself.</summary>
    public SavedPages? Pages { get; init; }
    public GuardRun[] Guards { get; init; } = [];

    /// <summary>null when all of it follows the policy of whoever touches it first.</summary>
    public PolicyRun[]? Policies { get; init; }
    public ulong Length => End - Start;
}

public enum ObjectKind
{
    /// <summary>A file found again by its path.</summary>
    File,
    /// <summary>A file whose name is gone (a ghost file); its content is in the image.</summary>
    Deleted,
    /// <summary>Shared anonymous memory (MAP_SHARED | MAP_ANONYMOUS), and the file without content behind anonymous huge pages, private ones too.</summary>
    SharedAnonymous,
    /// <summary>memfd_create(2).</summary>
    MemoryFile,
}

/// <summary>An inode that is mapped, or that only lives through the tree: created once, used by all that had it.</summary>
public sealed record ObjectRecord
{
    public required int Id { get; init; }
    public required ObjectKind Kind { get; init; }
    public required uint DeviceMajor { get; init; }
    public required uint DeviceMinor { get; init; }
    public required ulong Inode { get; init; }

    /// <summary>Its path, without " (deleted)"; a memfd's name.</summary>
    public required string Path { get; init; }
    public required long Size { get; init; }
    public required long ModifiedNanoseconds { get; init; }
    public int Permissions { get; init; }
    public uint Uid { get; init; }
    public uint Gid { get; init; }

    /// <summary>The size of its pages, when they are huge pages of hugetlbfs; else 0.</summary>
    public ulong HugePage { get; init; }

    /// <summary>F_GET_SEALS of a memfd; -1 where it has none to ask for.</summary>
    public int Seals { get; init; } = -1;

    /// <summary>A deleted file that never had a name (O_TMPFILE) and may still be given one: the flags of the description that made it; else 0.</summary>
    public int MadeNameless { get; init; }

    /// <summary>Mapped shared and writable by somebody: it must be opened for writing.</summary>
    public bool Writable { get; init; }

    /// <summary>Open for writing by somebody (or mapped so): the tree changes it.</summary>
    public bool OpenForWriting { get; init; }

    /// <summary>A file of a kernel file system (/proc, /sys): its size and time mean nothing.</summary>
    public bool Volatile { get; init; }

    /// <summary>The name of its content in the image, when that was saved with it (--save-files); empty otherwise.</summary>
    public string Stored { get; init; } = "";

    /// <summary>Content in the page store, for all kinds but <see cref="ObjectKind.File"/>.</summary>
    public SavedPages? Pages { get; init; }

    /// <summary>Hash of the whole content of a file that is only mapped or read; empty when it was not taken.</summary>
    public string ContentHash { get; init; } = "";

    /// <summary>The restart was told to take another file in its place; no part of an image.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public bool Bound { get; init; }
}
