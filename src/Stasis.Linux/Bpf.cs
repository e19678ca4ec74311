using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>Instructions of 8 bytes: operation, registers (source above destination), offset, immediate (Documentation/bpf/standardization/instruction-set.rst).</summary>
internal sealed class BpfCode
{
    public const byte Load4 = 0x61, Load8 = 0x79, Store4 = 0x63, Store8 = 0x7b, Move = 0xbf, MoveNumber = 0xb7, AddNumber = 0x07, IfEqual = 0x15, IfGreater = 0x25, Jump = 0x05, Call = 0x85, Exit = 0x95, LoadNumber8 = 0x18;
    public const int SeqWrite = 127, ProbeReadKernel = 113, MapLookupPerCpu = 195, SkRelease = 86, SkcLookupTcp = 99, SkcToTcpSock = 137; // enum bpf_func_id
    public const int MapValue = 2, KernelFunction = 2; // BPF_PSEUDO_MAP_VALUE, BPF_PSEUDO_KFUNC_CALL
    private readonly List<byte> _code = [];
    public byte[] Bytes => [.. _code];
    public int Length => _code.Count / 8;

    public void Emit(byte operation, int destination, int source, int offset, int immediate) =>
        _code.AddRange([operation, (byte)(destination | source << 4), (byte)offset, (byte)(offset >> 8), (byte)immediate, (byte)(immediate >> 8), (byte)(immediate >> 16), (byte)(immediate >> 24)]);
}

/// <summary>bpf(2), as far as looking takes it (union bpf_attr, include/uapi/linux/bpf.h).</summary>
internal static unsafe class Bpf
{
    public const int ClassifierProgram = 3, TracingProgram = 26, SyscallProgram = 31;
    private const int BPF_MAP_CREATE = 0, BPF_PROG_LOAD = 5, BPF_PROG_TEST_RUN = 10, BPF_LINK_CREATE = 28, BPF_ITER_CREATE = 33, BPF_TRACE_ITER = 28;
    private const int BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_F_MMAPABLE = 1 << 10, BPF_F_SLEEPABLE = 1 << 4, AttributesSize = 128;

    private static SysResult Call(int command, byte[] attributes) => Kernel.CallWith<byte>(attributes, address => Kernel.Call(Syscall.bpf, command, address, attributes.Length));

    public static SysResult CreateArray(int valueSize, bool perCpu)
    {
        byte[] attributes = new byte[AttributesSize];
        ReadOnlySpan<int> fields = [perCpu ? BPF_MAP_TYPE_PERCPU_ARRAY : BPF_MAP_TYPE_ARRAY, 4, valueSize, 1, perCpu ? 0 : BPF_F_MMAPABLE];
        MemoryMarshal.AsBytes(fields).CopyTo(attributes);
        return Call(BPF_MAP_CREATE, attributes);
    }

    /// <param name="attached">The number of the kernel function that an iterator's program is for; else 0.</param>
    public static SysResult Install(int type, byte[] code, int attached)
    {
        byte[] attributes = new byte[AttributesSize];
        // bpf_seq_write and kernel pointers are for programs under a licence that goes with the GPL; these are of ours, and this small.
        fixed (byte* instructions = code, license = "Dual MIT/GPL\0"u8)
        {
            MemoryMarshal.Write(attributes, type);
            MemoryMarshal.Write(attributes.AsSpan(4), code.Length / 8);
            MemoryMarshal.Write(attributes.AsSpan(8), (ulong)instructions);
            MemoryMarshal.Write(attributes.AsSpan(16), (ulong)license);
            if (type == SyscallProgram) MemoryMarshal.Write(attributes.AsSpan(44), BPF_F_SLEEPABLE);
            else if (type == TracingProgram) MemoryMarshal.Write(attributes.AsSpan(68), BPF_TRACE_ITER);
            MemoryMarshal.Write(attributes.AsSpan(108), attached);
            return Call(BPF_PROG_LOAD, attributes);
        }
    }

    public static SysResult TestRun(int program)
    {
        byte[] attributes = new byte[AttributesSize];
        MemoryMarshal.Write(attributes, program);
        return Call(BPF_PROG_TEST_RUN, attributes);
    }

    /// <summary>Has a program look at every packet that comes in by a network interface, before anybody else, for as long as the descriptor is open (Linux 6.6).</summary>
    public static SysResult AtIngress(int program, int networkInterface)
    {
        const int BPF_TCX_INGRESS = 46;
        byte[] attributes = new byte[AttributesSize];
        ReadOnlySpan<int> fields = [program, networkInterface, BPF_TCX_INGRESS];
        MemoryMarshal.AsBytes(fields).CopyTo(attributes);
        return Call(BPF_LINK_CREATE, attributes);
    }

    /// <summary>All that an iterator's program writes, about one task or (0) about all that there is. Empty when the task is gone.</summary>
    public static byte[] Walk(int program, int tid)
    {
        byte[] attributes = new byte[AttributesSize], which = new byte[12];
        fixed (byte* information = which)
        {
            MemoryMarshal.Write(which, tid); // union bpf_iter_link_info, task.tid
            MemoryMarshal.Write(attributes, program);
            MemoryMarshal.Write(attributes.AsSpan(8), BPF_TRACE_ITER);
            if (tid != 0)
            {
                MemoryMarshal.Write(attributes.AsSpan(16), (ulong)information);
                MemoryMarshal.Write(attributes.AsSpan(24), which.Length);
            }
            SysResult linked = Call(BPF_LINK_CREATE, attributes);
            if (linked.Errno == Errno.ESRCH) return [];
            using var link = new DescriptorHandle(linked.OrThrowDescriptor("bpf(LINK_CREATE) of an iterator"));
            byte[] create = new byte[8];
            MemoryMarshal.Write(create, link.Number);
            using var walk = new DescriptorHandle(Call(BPF_ITER_CREATE, create).OrThrowDescriptor("bpf(ITER_CREATE) of an iterator"));
            using var all = new MemoryStream();
            byte[] piece = new byte[64 * 1024];
            while (Files.Read(walk.Number, piece).OrThrow("read of an iterator") is var length and > 0) all.Write(piece, 0, (int)length);
            return all.ToArray();
        }
    }
}
