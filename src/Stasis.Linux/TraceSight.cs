using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>
/// What the kernel holds about a traced task, of which no system call tells all: how it is traced, with which options, in which stop it
/// stands, and whether its tracer has heard of that. Field names are the kernel's (struct task_struct).
/// </summary>
/// <param name="SyscallWork">thread_info.syscall_work.</param>
/// <param name="Ptrace">task_struct.ptrace: PT_SEIZED, and the options three bits up (include/linux/ptrace.h).</param>
/// <param name="ExitCode">In a stop: the status that the tracer has not waited for yet, else 0.</param>
/// <param name="HasSignalInformation">Whether the stop has a siginfo_t; Signal and Code are its first members.</param>
public readonly record struct TraceSight(ulong SyscallWork, ulong JobControl, ulong EventMessage, uint Ptrace, int ExitCode,
    int Signal, int Code, bool HasSignalInformation)
{
    private const uint PT_SEIZED = 0x10000, OptionMask = 0x3000ff;
    private const int PT_OPT_FLAG_SHIFT = 3;
    private const ulong SYSCALL_WORK_SYSCALL_TRACE = 1 << 2, SYSCALL_WORK_SYSCALL_EMU = 1 << 3, JOBCTL_TRAP_STOP = 1 << 19;

    public bool Seized => (Ptrace & PT_SEIZED) != 0;

    /// <summary>PTRACE_O_* (man 2 ptrace).</summary>
    public uint Options => Ptrace >> PT_OPT_FLAG_SHIFT & OptionMask;

    /// <summary>It was let go on by PTRACE_SYSCALL, and not by PTRACE_CONT.</summary>
    public bool StopsAtSyscalls => (SyscallWork & SYSCALL_WORK_SYSCALL_TRACE) != 0;

    /// <summary>PTRACE_INTERRUPT was asked for (or it is new), and the stop of that has not come yet.</summary>
    public bool StopsSoon => (JobControl & JOBCTL_TRAP_STOP) != 0;
    public bool Emulates => (SyscallWork & SYSCALL_WORK_SYSCALL_EMU) != 0;

    private static TraceSightProgram? _program;
    private static string? _whyNot;

    /// <summary>Why no sight can be had on this host; null when it can.</summary>
    public static string? Unavailable()
    {
        if (_program is null && _whyNot is null) (_program, _whyNot) = TraceSightProgram.Load();
        return _whyNot;
    }

    /// <summary>null when the task is gone. Throws <see cref="KernelRefusal"/>.</summary>
    public static TraceSight? Of(int tid)
    {
        if (Unavailable() is { } why) throw new KernelRefusal($"bpf: {why}", Errno.ENOSYS);
        byte[] seen = _program!.Read(tid);
        if (seen.Length < TraceSightProgram.Length) return null;
        ulong Word(int index) => BinaryPrimitives.ReadUInt64LittleEndian(seen.AsSpan(index * 8));
        return new TraceSight(Word(0), Word(1), Word(2), (uint)Word(3), (int)(Word(3) >> 32), (int)Word(4), (int)(Word(4) >> 32), Word(5) != 0);
    }
}

/// <summary>
/// A program of some thirty instructions for the kernel's task iterator (Documentation/bpf/bpf_iterators.rst), that copies a few members of
/// one task's task_struct to its reader. It reads and changes nothing, and is gone when its descriptor is closed.
/// </summary>
internal sealed class TraceSightProgram
{
    public const int Length = 48;
    private readonly int _program;

    private TraceSightProgram(int program) => _program = program;

    public static (TraceSightProgram?, string? WhyNot) Load()
    {
        if (Btf.OfKernel() is not { } btf) return (null, "this kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)");
        int iterator = btf.Function("bpf_iter_task"u8);
        int?[] offsets =
        [
            btf.Offset("task_struct"u8, "thread_info"u8) + btf.Offset("thread_info"u8, "syscall_work"u8),
            btf.Offset("task_struct"u8, "jobctl"u8), btf.Offset("task_struct"u8, "ptrace_message"u8), btf.Offset("task_struct"u8, "ptrace"u8),
            btf.Offset("task_struct"u8, "exit_code"u8), btf.Offset("task_struct"u8, "last_siginfo"u8),
        ];
        if (iterator == 0 || offsets.Any(offset => offset is null)) return (null, "this kernel has no task iterator, or describes tasks otherwise");
        SysResult loaded = Bpf.Install(Bpf.TracingProgram, Assemble([.. offsets.Select(offset => offset!.Value)]), iterator);
        return loaded.Failed ? (null, $"the kernel refused a program for its task iterator ({loaded.Errno}); it takes CAP_BPF and CAP_PERFMON") : (new TraceSightProgram(loaded.Descriptor), null);
    }

    private static byte[] Assemble(int[] offsets)
    {
        var code = new BpfCode();
        const int Skip = 2 * 5 + 3 + 2 + 6 + 5; // the instructions between the jump and the end
        code.Emit(BpfCode.Load8, 6, 1, 8, 0); // r6 = context->task, null at the end of the walk
        code.Emit(BpfCode.Load8, 7, 1, 0, 0); // r7 = context->meta
        code.Emit(BpfCode.IfEqual, 6, 0, Skip, 0);
        int begin = code.Length;
        for (int i = 0; i < 3; i++)
        {
            code.Emit(BpfCode.Load8, 1, 6, offsets[i], 0);
            code.Emit(BpfCode.Store8, 10, 1, -48 + i * 8, 0);
        }
        for (int i = 0; i < 2; i++)
        {
            code.Emit(BpfCode.Load4, 1, 6, offsets[3 + i], 0);
            code.Emit(BpfCode.Store4, 10, 1, -24 + i * 4, 0);
        }
        code.Emit(BpfCode.MoveNumber, 1, 0, 0, 0);
        code.Emit(BpfCode.Store8, 10, 1, -16, 0);
        code.Emit(BpfCode.Store8, 10, 1, -8, 0);
        code.Emit(BpfCode.Load8, 8, 6, offsets[5], 0); // r8 = task->last_siginfo
        code.Emit(BpfCode.IfEqual, 8, 0, 6, 0);
        code.Emit(BpfCode.Load4, 1, 8, 0, 0);
        code.Emit(BpfCode.Store4, 10, 1, -16, 0);
        code.Emit(BpfCode.Load4, 1, 8, 8, 0);
        code.Emit(BpfCode.Store4, 10, 1, -12, 0);
        code.Emit(BpfCode.MoveNumber, 1, 0, 0, 1);
        code.Emit(BpfCode.Store8, 10, 1, -8, 0);
        code.Emit(BpfCode.Load8, 1, 7, 0, 0); // meta->seq
        code.Emit(BpfCode.Move, 2, 10, 0, 0);
        code.Emit(BpfCode.AddNumber, 2, 0, 0, -Length);
        code.Emit(BpfCode.MoveNumber, 3, 0, 0, Length);
        code.Emit(BpfCode.Call, 0, 0, 0, BpfCode.SeqWrite);
        InvariantBroken.Require(code.Length - begin == Skip, "the jump misses the program's end");
        code.Emit(BpfCode.MoveNumber, 0, 0, 0, 0);
        code.Emit(BpfCode.Exit, 0, 0, 0, 0);
        return code.Bytes;
    }

    /// <summary>Empty when the task is gone.</summary>
    public byte[] Read(int tid) => Bpf.Walk(_program, tid);
}
