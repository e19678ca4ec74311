using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>
/// Where the kernel keeps page frames: the array of their struct page (CONFIG_SPARSEMEM_VMEMMAP), and the addresses of their bytes, which are all
/// mapped one behind the other (Documentation/arch/x86/x86_64/mm.rst). Both begin elsewhere at each boot. A page of ours whose frame
/// /proc/self/pagemap tells, and of which the kernel holds either, gives the beginning.
/// </summary>
public static unsafe class KernelPages
{
    private const int PageSize = 4096, PROT_READ_WRITE = 3;
    private static readonly Lazy<ulong?> s_structs = new(FindStructs), s_bytes = new(FindBytes);

    /// <summary>The struct page of a frame; null where it can't be found out.</summary>
    public static ulong? StructOf(ulong frame) => s_structs.Value is { } first ? first + frame * (ulong)KernelSight.SizeOf("page") : null;

    /// <summary>Where the bytes lie that a struct page stands for; null where it can't be found out.</summary>
    public static ulong? BytesOf(ulong page) =>
        s_structs.Value is { } first && s_bytes.Value is { } bytes && page >= first ? bytes + (page - first) / (ulong)KernelSight.SizeOf("page") * PageSize : null;

    /// <summary>The frame behind an address of a process, which must have been touched. /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst): bits 0-54 the frame, bit 63 present.</summary>
    public static ulong? FrameAt(int pid, ulong address)
    {
        SysResult opened = Files.Open($"/proc/{pid}/pagemap", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return null;
        using var pagemap = new DescriptorHandle(opened.Descriptor);
        Span<byte> entry = stackalloc byte[8];
        SysResult read = Files.ReadAt(pagemap.Number, entry, (long)(address / PageSize * 8));
        ulong value = BitConverter.ToUInt64(entry), frame = value & ((1ul << 55) - 1);
        return read.Failed || read.Value != 8 || value >> 63 == 0 || frame == 0 ? null : frame;
    }

    // A pipe takes a page of ours itself (man 2 vmsplice).
    private static ulong? FindStructs()
    {
        const int MAP_PRIVATE_ANONYMOUS = 0x22;
        nint memory = (nint)Kernel.Call(Syscall.mmap, 0, PageSize, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0).OrThrow("mmap");
        *(byte*)memory = 1;
        (int read, int write) = Pipes.Create(OpenFlags.O_CLOEXEC);
        using DescriptorHandle reader = new(read), writer = new(write);
        try
        {
            nint* vector = stackalloc nint[2] { memory, PageSize };
            if (Kernel.Call(Syscall.vmsplice, write, (nint)vector, 1, 0).Failed || FrameAt(Environment.ProcessId, (ulong)memory) is not { } frame) return null;
            KernelObject pipe = new("pipe_inode_info", KernelSight.FilesOf(Environment.ProcessId)[write]["private_data"]);
            return pipe.Pointed("bufs", "pipe_buffer")?["page"] is { } page and not 0 ? page - frame * (ulong)KernelSight.SizeOf("page") : null;
        }
        finally { Kernel.Call(Syscall.munmap, memory, PageSize); }
    }

    // The ring of a packet socket that hears nothing: the kernel holds its blocks by the addresses of their bytes.
    private static ulong? FindBytes()
    {
        const int AF_PACKET = 17, SOCK_RAW = 3, SOL_PACKET = 263, PACKET_RX_RING = 5;
        SysResult made = Sockets.Create(AF_PACKET, SOCK_RAW);
        if (made.Failed) return null;
        using var socket = new DescriptorHandle(made.Descriptor);
        if (Sockets.SetOption(socket.Number, SOL_PACKET, PACKET_RX_RING, MemoryMarshal.AsBytes<int>([PageSize, 1, PageSize, 1])).Failed) return null;
        using var ring = new RingMemory(socket.Number, 0, PageSize);
        if (FrameAt(Environment.ProcessId, (ulong)ring.Address) is not { } frame) return null;
        KernelObject known = new("packet_sock", new KernelObject("socket", KernelSight.FilesOf(Environment.ProcessId)[socket.Number]["private_data"])["sk"]);
        return known.Pointed("rx_ring.pg_vec", "pgv")?["buffer"] is { } buffer and not 0 ? buffer - frame * PageSize : null;
    }
}
