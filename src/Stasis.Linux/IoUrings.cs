using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>io_uring (man 7 io_uring; include/uapi/linux/io_uring.h).</summary>
public static unsafe class IoUrings
{
    public const uint IORING_SETUP_IOPOLL = 1, IORING_SETUP_SQPOLL = 1 << 1, IORING_SETUP_SQ_AFF = 1 << 2, IORING_SETUP_CQSIZE = 1 << 3, IORING_SETUP_CLAMP = 1 << 4, IORING_SETUP_ATTACH_WQ = 1 << 5,
        IORING_SETUP_R_DISABLED = 1 << 6, IORING_SETUP_SUBMIT_ALL = 1 << 7, IORING_SETUP_COOP_TASKRUN = 1 << 8, IORING_SETUP_TASKRUN_FLAG = 1 << 9, IORING_SETUP_SQE128 = 1 << 10, IORING_SETUP_CQE32 = 1 << 11,
        IORING_SETUP_SINGLE_ISSUER = 1 << 12, IORING_SETUP_DEFER_TASKRUN = 1 << 13, IORING_SETUP_NO_MMAP = 1 << 14, IORING_SETUP_REGISTERED_FD_ONLY = 1 << 15, IORING_SETUP_NO_SQARRAY = 1 << 16;
    public const ulong IORING_OFF_SQ_RING = 0, IORING_OFF_CQ_RING = 0x8000000, IORING_OFF_SQES = 0x10000000;
    public const int IORING_ENTER_GETEVENTS = 1;
    public const int IORING_REGISTER_EVENTFD = 4, IORING_REGISTER_EVENTFD_ASYNC = 7, IORING_REGISTER_ENABLE_RINGS = 12, IORING_REGISTER_FILES2 = 13, IORING_REGISTER_BUFFERS2 = 15, IORING_REGISTER_IOWQ_MAX_WORKERS = 19,
        IORING_REGISTER_RING_FDS = 20, IORING_REGISTER_FILE_ALLOC_RANGE = 25, IORING_REGISTER_CLOCK = 29;
    public const byte IORING_OP_MSG_RING = 40, IOSQE_CQE_SKIP_SUCCESS = 1 << 6;

    private const int ParametersLength = 120;

    /// <summary>A new ring, with what the kernel tells of its layout.</summary>
    public static (SysResult Result, RingLayout Layout) Setup(uint entries, uint completionEntries, uint flags)
    {
        byte[] parameters = new byte[ParametersLength];
        BinaryPrimitives.WriteUInt32LittleEndian(parameters.AsSpan(4), completionEntries);
        BinaryPrimitives.WriteUInt32LittleEndian(parameters.AsSpan(8), flags);
        SysResult made = Kernel.CallWith<byte>(parameters, address => Kernel.Call(Syscall.io_uring_setup, (nint)entries, address));
        uint At(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(parameters.AsSpan(offset));
        // struct io_uring_params: sq_off at 40 (head, tail, …, array at 24 of it), cq_off at 80 (head, tail, …, cqes at 20 of it)
        return (made, new RingLayout(At(0), At(4), At(40), At(44), At(64), At(80), At(84), At(100)));
    }

    public static SysResult Enter(int ring, uint submit, uint flags) => Kernel.Call(Syscall.io_uring_enter, ring, (nint)submit, 0, (nint)flags, 0, 0);
    public static SysResult Register(int ring, int operation, Span<byte> argument, uint count) => Kernel.CallWith(argument, address => Kernel.Call(Syscall.io_uring_register, ring, operation, address, (nint)count));
}

/// <summary>Sizes of both queues, and the places of their members in the rings' memory.</summary>
public readonly record struct RingLayout(uint Entries, uint Completions, uint SubmissionHead, uint SubmissionTail, uint Array, uint CompletionHead, uint CompletionTail, uint CompletionEntries);

/// <summary>A part of a ring's memory in our own process. The same memory as the program's.</summary>
public sealed unsafe class RingMemory : IDisposable
{
    private readonly nint _address;
    private readonly int _length;

    public RingMemory(int ring, ulong offset, int length)
    {
        const int PROT_READ_WRITE = 3, MAP_SHARED_POPULATE = 1 | 0x8000;
        _address = (nint)Kernel.Call(Syscall.mmap, 0, length, PROT_READ_WRITE, MAP_SHARED_POPULATE, ring, (nint)offset).OrThrow("mmap of a ring");
        _length = length;
    }

    public nint Address => _address;
    public Span<byte> Bytes => new((void*)_address, _length);

    /// <summary>A counter, as the kernel sees it at once.</summary>
    public uint this[uint place]
    {
        get => Volatile.Read(ref MemoryMarshal.AsRef<uint>(Bytes.Slice((int)place, 4)));
        set => Volatile.Write(ref MemoryMarshal.AsRef<uint>(Bytes.Slice((int)place, 4)), value);
    }

    public void Dispose() => Kernel.Call(Syscall.munmap, _address, _length);
}
