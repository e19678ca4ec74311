namespace Stasis.State.Descriptors.IoUring;

/// <summary>An idle io_uring (man 7 io_uring). Its mappings are of kind `ring` in the process's memory.</summary>
public sealed record IoUringRecord : Description
{
    /// <summary>The inode that its mappings show.</summary>
    public required ulong Inode { get; init; }

    /// <summary>IORING_SETUP_* as the kernel keeps them.</summary>
    public required uint SetupFlags { get; init; }
    public required uint Entries { get; init; }
    public required uint CompletionEntries { get; init; }

    /// <summary>How many requests the kernel has taken, and how many completions it has given; modulo 2^32.</summary>
    public required uint Taken { get; init; }
    public required uint Completed { get; init; }

    /// <summary>IOSQE_CQE_SKIP_SUCCESS has been used: requests that wait for all before them (IOSQE_IO_DRAIN) are refused from then on.</summary>
    public bool NoDrain { get; init; }

    /// <summary>The content of the rings, and behind it that of the requests' memory: names in the image and lengths.</summary>
    public required string Stored { get; init; }
    public required int RingsLength { get; init; }
    public required int RequestsLength { get; init; }

    /// <summary>The process that made it, whose memory its buffers are in (0 when it is none of the image); for IORING_SETUP_SINGLE_ISSUER the one whose main thread alone may submit.</summary>
    public required int Process { get; init; }

    /// <summary>The description of a registered eventfd, 0 for none, and whether it is told of what completes later only.</summary>
    public int EventFd { get; init; }
    public bool EventFdAsync { get; init; }

    /// <summary>Registered files: their descriptions, 0 for an empty place, and tags.</summary>
    public RingFile[] Files { get; init; } = [];

    /// <summary>The places that the kernel may choose for files of its own (IORING_REGISTER_FILE_ALLOC_RANGE).</summary>
    public uint FilesFrom { get; init; }
    public uint FilesTo { get; init; }

    /// <summary>Registered buffers; of length 0 for an empty place.</summary>
    public RingBuffer[] Buffers { get; init; } = [];

    /// <summary>IORING_REGISTER_IOWQ_MAX_WORKERS; empty when it was not used.</summary>
    public uint[] WorkerLimits { get; init; } = [];

    /// <summary>The clock of its timeouts.</summary>
    public int Clock { get; init; }

    /// <summary>The places at which the process's main thread has it registered for itself (IORING_REGISTER_RING_FDS).</summary>
    public int[] Places { get; init; } = [];
}

public sealed record RingFile(int Description, ulong Tag);
public sealed record RingBuffer(ulong Address, uint Length, ulong Tag);
