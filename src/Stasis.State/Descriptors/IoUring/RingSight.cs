using Stasis.Linux;

namespace Stasis.State.Descriptors.IoUring;

/// <summary>What the kernel holds of an io_uring (struct io_ring_ctx, include/linux/io_uring_types.h): fdinfo tells less than half of it.</summary>
internal sealed class RingSight
{
    private const int PageSize = 4096, MaxRegistered = 1 << 16, MaxRequests = 1 << 17;
    private readonly KernelObject _ring;
    private readonly Dictionary<int, KernelObject> _files;

    private RingSight(KernelObject ring, Dictionary<int, KernelObject> files) => (_ring, _files) = (ring, files);

    /// <summary>null when the descriptor is gone.</summary>
    public static RingSight? Of(int pid, int number)
    {
        Dictionary<int, KernelObject> files = KernelSight.FilesOf(pid);
        return files.TryGetValue(number, out KernelObject file) && file.Pointed("private_data", "io_ring_ctx") is { } ring ? new RingSight(ring, files) { File = file.Address } : null;
    }

    public required ulong File { get; init; }

    // Read once: what is asked for is asked twice.
    public uint Flags => (uint)_ring["flags"];
    public uint Entries => (uint)_ring["sq_entries"];
    public uint CompletionEntries => (uint)_ring["cq_entries"];
    public uint Taken => (uint)_ring["cached_sq_head"];
    public uint Completed => (uint)_ring["cached_cq_tail"];
    public int RingsLength => (int)_ring["ring_region.nr_pages"] * PageSize;
    public int RequestsLength => (int)_ring["sq_region.nr_pages"] * PageSize;
    public ulong Memory => _ring["mm_account"];
    public ulong Submitter => _ring["submitter_task"];
    public int Clock => (int)_ring["clockid"];
    private bool Bit(string member) => _ring.Bit(member);
    public bool NoDrain => Bit("drain_disabled");
    public uint[] WorkerLimits => Bit("iowq_limits_set") ? [(uint)_ring["iowq_limits"], (uint)(_ring["iowq_limits"] >> 32)] : [];
    public (uint From, uint To) FileRange => ((uint)_ring["file_alloc_start"], (uint)_ring["file_alloc_end"]);

    /// <summary>What the ring has that can't be carried; null when it has nothing of the kind.</summary>
    public string? Uncarried()
    {
        const uint Carried = IoUrings.IORING_SETUP_CQSIZE | IoUrings.IORING_SETUP_CLAMP | IoUrings.IORING_SETUP_R_DISABLED | IoUrings.IORING_SETUP_SUBMIT_ALL | IoUrings.IORING_SETUP_COOP_TASKRUN | IoUrings.IORING_SETUP_TASKRUN_FLAG
            | IoUrings.IORING_SETUP_SQE128 | IoUrings.IORING_SETUP_CQE32 | IoUrings.IORING_SETUP_SINGLE_ISSUER | IoUrings.IORING_SETUP_DEFER_TASKRUN | IoUrings.IORING_SETUP_NO_SQARRAY;
        uint flags = Flags;
        return (flags & IoUrings.IORING_SETUP_SQPOLL) != 0 ? "a thread of the kernel's that polls for requests (IORING_SETUP_SQPOLL)"
            : (flags & IoUrings.IORING_SETUP_IOPOLL) != 0 ? "devices that are polled (IORING_SETUP_IOPOLL)"
            : (flags & IoUrings.IORING_SETUP_NO_MMAP) != 0 ? "its rings in the program's own memory (IORING_SETUP_NO_MMAP)"
            : (flags & ~Carried) != 0 ? $"settings that are not known here (flags 0x{flags & ~Carried:x})"
            : Bit("restricted") || _ring.Inner("restrictions", "io_restriction")["registered"] != 0 ? "restrictions (IORING_REGISTER_RESTRICTIONS)"
            : _ring["personalities.xa_head"] != 0 ? "personalities (IORING_REGISTER_PERSONALITY)"
            : _ring["io_bl_xa.xa_head"] != 0 ? "buffers that the kernel chooses from (IORING_REGISTER_PBUF_RING)"
            : _ring["param_region.pages"] != 0 ? "a region for arguments of waits (IORING_REGISTER_MEM_REGION)"
            : KernelSight.Has("io_ring_ctx", "zcrx_ctxs") && _ring["zcrx_ctxs.xa_head"] != 0 ? "zero-copy reception (IORING_REGISTER_ZCRX_IFQ)"
            : KernelSight.Has("io_ring_ctx", "napi_track_mode") && _ring["napi_track_mode"] is not (0 or 255) ? "busy polling of network devices (IORING_REGISTER_NAPI)"
            : null;
    }

    /// <summary>Requests that the kernel has taken and not completed: those allocated less those put by for the next ones (io_alloc_req).</summary>
    public int InFlight()
    {
        int free = 0;
        for (ulong at = _ring["submit_state.free_list.next"]; at != 0 && free < MaxRequests; free++) at = new KernelObject("io_wq_work_node", at)["next"];
        return (int)_ring["nr_req_allocated"] - free;
    }

    /// <summary>Completions that found no room in the queue, and lie in the kernel until there is some.</summary>
    public bool Overflowed => _ring["cq_overflow_list.next"] != _ring.At("cq_overflow_list");

    /// <summary>The eventfd's context (struct eventfd_ctx), 0 for none.</summary>
    public (ulong Context, bool Async) EventFd => _ring.Pointed("io_ev_fd", "io_ev_fd") is { } told ? (told["cq_ev_fd"], told["eventfd_async"] != 0) : (0, false);

    /// <summary>Each registered file's struct file (0 for an empty place) and tag.</summary>
    public List<(ulong File, ulong Tag)> Files()
    {
        const ulong FFS_MASK = ~3ul; // two bits of the kernel's own (io_uring/filetable.h)
        return [.. Nodes("file_table.data").Select(node => node is { } file ? (file["file_ptr"] & FFS_MASK, file["tag"]) : (0ul, 0ul))];
    }

    /// <summary>Each registered buffer: address, length, tag, and the struct page of its first byte; null when one is the kernel's own.</summary>
    public List<(RingBuffer Buffer, ulong Page)>? Buffers()
    {
        List<(RingBuffer, ulong)> buffers = [];
        foreach (KernelObject? node in Nodes("buf_table"))
        {
            if (node is not { } buffer)
            {
                buffers.Add((new RingBuffer(0, 0, 0), 0));
                continue;
            }
            var memory = new KernelObject("io_mapped_ubuf", buffer["buf"]);
            if (memory["is_kbuf"] != 0) return null;
            var first = new KernelObject("bio_vec", memory.At("bvec"));
            // Of pages that lie together as one (a folio) the first is named, and how far from it the buffer begins.
            buffers.Add((new RingBuffer(memory["ubuf"], (uint)memory["len"], buffer["tag"]), first["bv_page"] + first["bv_offset"] / PageSize * (ulong)KernelSight.SizeOf("page")));
        }
        return buffers;
    }

    private List<KernelObject?> Nodes(string table)
    {
        uint count = (uint)_ring[$"{table}.nr"];
        if (count > MaxRegistered) throw new KernelRefusal($"{count} things registered with an io_uring are too many", Errno.E2BIG);
        byte[] pointers = new byte[count * 8];
        if (count > 0 && !KernelSight.Read(_ring[$"{table}.nodes"], pointers)) throw new KernelRefusal("read of what is registered with an io_uring", Errno.EFAULT);
        return [.. Enumerable.Range(0, (int)count).Select(i => BitConverter.ToUInt64(pointers, i * 8)).Select(address => address == 0 ? (KernelObject?)null : new KernelObject("io_rsrc_node", address))];
    }

    /// <summary>The rings that a task has registered (IORING_REGISTER_RING_FDS): their struct file by place. Empty when it has used none.</summary>
    public static Dictionary<int, ulong> RegisteredBy(int tid)
    {
        const int IO_RINGFD_REG_MAX = 16;
        Dictionary<int, ulong> registered = [];
        if (KernelSight.TaskOf(tid)?.Pointed("io_uring", "io_uring_task") is not { } its) return registered;
        byte[] pointers = its.Read("registered_rings", IO_RINGFD_REG_MAX * 8);
        for (int place = 0; place < IO_RINGFD_REG_MAX; place++)
            if (BitConverter.ToUInt64(pointers, place * 8) is var file and not 0) registered[place] = file;
        return registered;
    }
}
