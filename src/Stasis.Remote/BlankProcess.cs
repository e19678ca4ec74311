using System.Buffers.Binary;
using Stasis.Linux;
using Stasis.Remote.X64;

namespace Stasis.Remote;

/// <summary>Where in its address space every blank process of a restart keeps its interpreter and tapes: free in all the layouts that will be rebuilt.</summary>
public readonly record struct Arena(ulong Base)
{
    public const int CodeSize = 4096, TapeCapacity = 1024 * 1024;
    public const ulong Length = CodeSize + TapeCapacity;

    /// <summary>The stub program's own page lies behind the arena until it is unmapped.</summary>
    public ulong StubAddress => Base + Length;
    public const ulong LengthWithStub = Length + 4096;
    public ulong TapeAddress => Base + CodeSize;
}

/// <summary>
/// A task of a blank process: a process that does nothing but run our tapes, until it has become the process of the image. It is
/// seized with EXITKILL from birth: if the tool dies, no half-restored tree is left.
/// </summary>
public sealed class BlankTask
{
    public const int TraceOptions = PtraceConstants.O_TRACESYSGOOD | PtraceConstants.O_TRACEFORK | PtraceConstants.O_TRACEVFORK |
        PtraceConstants.O_TRACECLONE | PtraceConstants.O_EXITKILL;

    // A blocked SIGTRAP would be forced at the int3 that ends a tape, and its action reset (kernel/signal.c, force_sig_info_to_task).
    private const ulong AllButTrap = ~(1ul << (Signals.SIGTRAP - 1));
    private readonly Queue<int> _born = [];

    /// <summary>Where in the arena's code a syscall instruction stands.</summary>
    public static readonly ulong InterpreterSyscall = (ulong)Interpreter.ForBlank.AsSpan().IndexOf(Interpreter.SyscallInstruction);

    private BlankTask(Tracee tracee, Arena arena) { Tracee = tracee; Arena = arena; }

    public Tracee Tracee { get; }
    public Arena Arena { get; }
    public int Tid => Tracee.Tid;

    /// <summary>It is a process of 32 bits; see <see cref="Become"/>.</summary>
    public bool IsCompat { get; private set; }

    /// <summary>Sets the task's seccomp aside until it is let go. Errors: EPERM without CAP_SYS_ADMIN, or under seccomp ourselves.</summary>
    public void SuspendSeccomp() =>
        Ptrace.SetOptions(Tid, TraceOptions | PtraceConstants.O_SUSPEND_SECCOMP).OrThrow("ptrace(PTRACE_SETOPTIONS, PTRACE_O_SUSPEND_SECCOMP)", Tracee.Whose);

    /// <summary>The task that a clone on the last tape made, in order of birth, stopped before its first instruction.</summary>
    public BlankTask TakeBorn(bool thread)
    {
        InvariantBroken.Require(_born.Count > 0, "no task was born");
        int tid = _born.Dequeue();
        var task = new BlankTask(new Tracee(tid, thread ? Tracee.Tgid : tid), Arena) { IsCompat = IsCompat };
        WaitStatus status = task.Tracee.WaitForStop();
        InvariantBroken.Require(status.EventStop, $"a new task stops first of all, not with {status.Raw:x}");
        return task;
    }

    /// <summary>Starts the first blank process of a restart: a static program of 169 bytes that Stasis writes itself.</summary>
    /// <remarks>Every descriptor of ours without close-on-exec is inherited at its number.</remarks>
    public static BlankTask Spawn(Arena arena)
    {
        SysResult opened = Files.MemoryFile("stasis-blank", 0x10 /* MFD_EXEC, Linux 6.3 */);
        if (opened.Errno == Errno.EINVAL) opened = Files.MemoryFile("stasis-blank", 0);
        using var program = new DescriptorHandle(opened.OrThrowDescriptor("memfd_create"));
        Files.WriteAll(program.Number, StubProgram(arena.StubAddress, Interpreter.Stub(Environment.ProcessId))).OrThrow("write of the blank program");
        int pid = Stasis.Linux.Spawn.Start($"/proc/self/fd/{program.Number}", ["stasis-blank"], []).OrThrowDescriptor("posix_spawn of a blank process");
        var task = new BlankTask(new Tracee(pid, pid), arena);
        try
        {
            task.Tracee.Seize(TraceOptions).OrThrow("ptrace(SEIZE)", task.Tracee.Whose);
            task.Tracee.Interrupt();
            task.Tracee.WaitForInterrupt();
            task.Board(Interpreter.StubSyscall);
        }
        catch
        {
            Signals.Send(pid, Signals.SIGKILL);
            throw;
        }
        var tape = new Tape();
        tape.Call("close of the blank program", Syscall.close, program.Number);
        // What we ignore (the runtime ignores SIGPIPE) would stay ignored across posix_spawn.
        TapeData byDefault = tape.Reserve(32);
        for (int signal = 1; signal <= Signals.Count; signal++)
            if (signal is not (Signals.SIGKILL or Signals.SIGSTOP)) tape.Call("rt_sigaction", Syscall.rt_sigaction, signal, byDefault, 0, 8);
        task.Run(tape);
        return task;
    }

    private void Board(ulong stubSyscall)
    {
        const int PROT_ALL = 7, MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE = 0x2 | 0x20 | 0x100000;
        UserRegisters call = Tracee.Registers;
        call.orig_rax = ulong.MaxValue;
        call.rip = Arena.StubAddress + HeaderSize + stubSyscall;
        (call.rax, call.rdi, call.rsi, call.rdx, call.r10, call.r8, call.r9) =
            ((ulong)(int)Syscall.mmap, Arena.Base, Arena.Length, PROT_ALL, MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE, ulong.MaxValue, 0);
        Tracee.Registers = call;
        Tracee.SignalMask = ulong.MaxValue;
        new SysResult((long)Tracee.RunPreparedCall().rax).OrThrow("mmap of an arena", Tracee.Whose);
        ProcessMemory.WriteExactly(Tid, Arena.Base, Interpreter.ForBlank).OrThrow("write of the interpreter", Tracee.Whose);
        var tape = new Tape();
        tape.Call("munmap of the stub", Syscall.munmap, Arena.StubAddress, 4096);
        Run(tape);
    }

    /// <summary>
    /// Makes the process one of 32 bits, or of 64 again, which only execve can: it runs a program of that kind, which does nothing either, and is
    /// boarded again. It must have no threads yet, and none that share its memory or descriptors, from whom execve would part it.
    /// </summary>
    public void Become(bool compat)
    {
        const int MFD_CLOEXEC = 1, MFD_EXEC = 0x10, AT_EMPTY_PATH = 0x1000, O_TRACEEXEC = 0x10;
        var make = new Tape();
        TapeCall made = make.Try("memfd_create", Syscall.memfd_create, make.Text("stasis-blank"), MFD_CLOEXEC | MFD_EXEC);
        Run(make);
        if (made.Result.Errno == Errno.EINVAL) // before Linux 6.3
        {
            make = new Tape();
            made = make.Try("memfd_create", Syscall.memfd_create, make.Text("stasis-blank"), MFD_CLOEXEC);
            Run(make);
        }
        long file = made.Result.OrThrow("memfd_create", Tracee.Whose);
        byte[] program = compat ? CompatStubProgram(Arena.StubAddress) : StubProgram(Arena.StubAddress, Interpreter.Park);
        var tape = new Tape();
        tape.Call("write of the blank program", Syscall.write, file, tape.Data(program), program.Length);
        TapeData name = tape.Text("stasis-blank"), arguments = tape.Data<ulong>(0, 0), none = tape.Data<ulong>(0);
        tape.PointAt(arguments, 0, name);
        tape.Call($"execveat of a {(compat ? 32 : 64)}-bit program", Syscall.execveat, file, tape.Text(""), arguments, none, AT_EMPTY_PATH);
        byte[] bytes = tape.Assemble(Arena.TapeAddress);
        ProcessMemory.WriteExactly(Tid, Arena.TapeAddress, bytes).OrThrow("write of a tape", Tracee.Whose);
        Ptrace.SetOptions(Tid, TraceOptions | O_TRACEEXEC).OrThrow("ptrace(SETOPTIONS)", Tracee.Whose);
        Start();
        WaitStatus status = Tracee.WaitForStop();
        if (status.Event != PtraceConstants.EVENT_EXEC)
        {
            ProcessMemory.ReadExactly(Tid, Arena.TapeAddress, bytes).OrThrow("read of a tape", Tracee.Whose);
            tape.Absorb(bytes, Arena.TapeAddress, Tracee.Registers.rbx, Tracee.Whose);
            throw new TargetUnruly($"{Tracee.Whose} stopped with {status.Raw:x} where it should have run a program");
        }
        Ptrace.SetOptions(Tid, TraceOptions).OrThrow("ptrace(SETOPTIONS)", Tracee.Whose);
        ParkInInterruptStop();
        IsCompat = compat;
        if (compat) BoardCompat();
        else Board(PauseCall);
    }

    // In both programs the call instruction stands behind `mov $nr,%eax`.
    private const int PauseCall = 5;

    private void BoardCompat()
    {
        const int PROT_ALL = 7, MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE = 0x2 | 0x20 | 0x100000;
        Tracee.Registers = Compat.Call(Tracee.Registers, Arena.StubAddress + CompatHeaderSize + PauseCall, Compat.mmap2, Arena.Base, Arena.Length, PROT_ALL, MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE, ulong.MaxValue, 0);
        Tracee.SignalMask = ulong.MaxValue;
        new SysResult((long)Tracee.RunPreparedCall().rax).OrThrow("mmap of an arena", Tracee.Whose);
        ProcessMemory.WriteExactly(Tid, Arena.Base, Interpreter.ForBlank).OrThrow("write of the interpreter", Tracee.Whose);
        var tape = new Tape();
        tape.Call("munmap of the stub", Syscall.munmap, Arena.StubAddress, 4096);
        Run(tape);
    }

    private const int CompatHeaderSize = 116;

    // A 32-bit ELF header, two program headers (PT_LOAD, and PT_GNU_STACK, without which all its memory would be executable) and the code.
    private static byte[] CompatStubProgram(ulong address)
    {
        byte[] code = Compat.Pause;
        byte[] file = new byte[CompatHeaderSize + code.Length];
        Span<byte> elf = file;
        "\u007fELF\u0001\u0001\u0001"u8.CopyTo(elf);
        BinaryPrimitives.WriteUInt16LittleEndian(elf[16..], 2);      // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(elf[18..], 3);      // EM_386
        BinaryPrimitives.WriteUInt32LittleEndian(elf[20..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[24..], (uint)address + CompatHeaderSize);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[28..], 52);     // program headers follow
        BinaryPrimitives.WriteUInt16LittleEndian(elf[40..], 52);
        BinaryPrimitives.WriteUInt16LittleEndian(elf[42..], 32);
        BinaryPrimitives.WriteUInt16LittleEndian(elf[44..], 2);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[52..], 1);      // PT_LOAD
        BinaryPrimitives.WriteUInt32LittleEndian(elf[60..], (uint)address);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[64..], (uint)address);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[68..], (uint)file.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[72..], (uint)file.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[76..], 5);      // read, execute
        BinaryPrimitives.WriteUInt32LittleEndian(elf[80..], 4096);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[84..], 0x6474e551); // PT_GNU_STACK
        BinaryPrimitives.WriteUInt32LittleEndian(elf[108..], 6);     // read, write
        code.CopyTo(elf[CompatHeaderSize..]);
        return file;
    }

    private const int HeaderSize = 120;

    // An ELF header, one PT_LOAD program header (man 5 elf) and the code.
    private static byte[] StubProgram(ulong address, byte[] code)
    {
        byte[] file = new byte[HeaderSize + code.Length];
        Span<byte> elf = file;
        "\u007fELF\u0002\u0001\u0001"u8.CopyTo(elf);
        BinaryPrimitives.WriteUInt16LittleEndian(elf[16..], 2);      // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(elf[18..], 62);     // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(elf[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(elf[24..], address + HeaderSize);
        BinaryPrimitives.WriteUInt64LittleEndian(elf[32..], 64);     // program headers follow
        BinaryPrimitives.WriteUInt16LittleEndian(elf[52..], 64);
        BinaryPrimitives.WriteUInt16LittleEndian(elf[54..], 56);
        BinaryPrimitives.WriteUInt16LittleEndian(elf[56..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(elf[64..], 1);      // PT_LOAD
        BinaryPrimitives.WriteUInt32LittleEndian(elf[68..], 5);      // read, execute
        BinaryPrimitives.WriteUInt64LittleEndian(elf[80..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(elf[88..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(elf[96..], (ulong)file.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(elf[104..], (ulong)file.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(elf[112..], 4096);
        code.CopyTo(elf[HeaderSize..]);
        return file;
    }

    /// <summary>Runs the tape and takes its results. Errors: <see cref="KernelRefusal"/> of the call that failed, <see cref="TargetGone"/>.</summary>
    public void Run(Tape tape)
    {
        if (tape.Count == 0) return;
        InvariantBroken.Require(tape.Size <= Arena.TapeCapacity, "the tape is larger than the arena");
        byte[] bytes = tape.Assemble(Arena.TapeAddress);
        ProcessMemory.WriteExactly(Tid, Arena.TapeAddress, bytes).OrThrow("write of a tape", Tracee.Whose);
        Start();
        UserRegisters end = WaitForEnd();
        ProcessMemory.ReadExactly(Tid, Arena.TapeAddress, bytes).OrThrow("read of a tape", Tracee.Whose);
        tape.Absorb(bytes, Arena.TapeAddress, end.rbx, Tracee.Whose);
    }

    private void Start()
    {
        UserRegisters start = Tracee.Registers;
        (start.cs, start.ss) = (Compat.LongCodeSegment, Compat.StackSegment);
        start.rip = Arena.Base;
        start.rbx = Arena.TapeAddress;
        start.rsp = 0; // on no stack: sigaltstack would refuse to change the one it stands on
        start.orig_rax = ulong.MaxValue;
        Tracee.Registers = start;
        Tracee.SignalMask = AllButTrap;
        Tracee.Continue();
    }

    /// <summary>
    /// Makes the kernel keep tile registers for this task, which it does when one is first used, and without which none can be set
    /// (validate_user_xstate_header, arch/x86/kernel/fpu/xstate.c, Linux 5.16). The process must be permitted to use them.
    /// </summary>
    public void MakeRoomForTiles()
    {
        ulong code = Arena.Base + Arena.CodeSize / 2, shape = Arena.TapeAddress;
        // Palette 1, and one tile of a row of 64 bytes (Intel SDM volume 1, 18.2).
        byte[] oneTile = new byte[64];
        (oneTile[0], oneTile[16], oneTile[48]) = (1, 64, 1);
        ProcessMemory.WriteExactly(Tid, code, Interpreter.TouchTiles).OrThrow("write of code", Tracee.Whose);
        ProcessMemory.WriteExactly(Tid, shape, oneTile).OrThrow("write of a tile's shape", Tracee.Whose);
        Tracee.Registers = Tracee.Registers with { cs = Compat.LongCodeSegment, ss = Compat.StackSegment, rip = code, rdi = shape, rsp = 0, orig_rax = ulong.MaxValue };
        Tracee.SignalMask = AllButTrap;
        Tracee.Continue();
        WaitForTrap(code + (ulong)Interpreter.TouchTiles.Length);
    }

    /// <summary>Ends the process with a wait status: by exit, or by a signal that it sends itself.</summary>
    public void EndBy(int waitStatus, string? comm = null)
    {
        int signal = waitStatus & 0x7f;
        var tape = new Tape();
        if (comm is not null) tape.Call("prctl(PR_SET_NAME)", Syscall.prctl, 15, tape.Text(comm));
        if (signal != 0)
        {
            // The default action, a mask without the signal, no core file from us but the core bit cannot be had without one.
            TapeData none = tape.Reserve(32), mask = tape.Data(0ul);
            if (signal != Signals.SIGKILL) tape.Call("rt_sigaction", Syscall.rt_sigaction, signal, none, 0, 8);
            TapeData limit = tape.Data<ulong>(0, 0);
            tape.Try("prlimit(RLIMIT_CORE)", Syscall.prlimit64, 0, 4, limit, 0);
            TapeCall own = tape.Call("getpid", Syscall.getpid);
            tape.Call("rt_sigprocmask", Syscall.rt_sigprocmask, 2, mask, 0, 8);
            tape.Call("kill", Syscall.kill, own, signal);
        }
        else
        {
            tape.Call("rt_sigprocmask", Syscall.rt_sigprocmask, 2, tape.Data(0ul), 0, 8);
            tape.Call("exit_group", Syscall.exit_group, waitStatus >> 8 & 0xff);
        }
        byte[] bytes = tape.Assemble(Arena.TapeAddress);
        ProcessMemory.WriteExactly(Tid, Arena.TapeAddress, bytes).OrThrow("write of a tape", Tracee.Whose);
        Start();
        for (int stops = 0; stops < 100; stops++)
        {
            (SysResult result, WaitStatus? status) = Wait.For(Tid, Tracee.StopPatience);
            if (result.Failed || status is { Gone: true }) return;
            Tracee.Continue(status!.Value.Event == 0 ? status.Value.StopSignal : 0);
        }
        throw new TargetUnruly($"{Tracee.Whose} does not end");
    }

    /// <summary>Lets the task go with the tape, alone and for good (its last call is an execve or an exit).</summary>
    public void RunAndLetGo(Tape tape, ulong signalMask)
    {
        InvariantBroken.Require(tape.Size <= Arena.TapeCapacity, "the tape is larger than the arena");
        ProcessMemory.WriteExactly(Tid, Arena.TapeAddress, tape.Assemble(Arena.TapeAddress)).OrThrow("write of a tape", Tracee.Whose);
        UserRegisters start = Tracee.Registers;
        (start.cs, start.ss) = (Compat.LongCodeSegment, Compat.StackSegment);
        start.rip = Arena.Base;
        start.rbx = Arena.TapeAddress;
        start.orig_rax = ulong.MaxValue;
        Tracee.Registers = start;
        Tracee.SignalMask = signalMask;
        Tracee.Detach();
    }

    /// <summary>Turns the task into the minimal init of its pid namespace, which ends as the given child (its id inside) ends. The tool no longer holds it.</summary>
    public void BecomeInit(int childInside)
    {
        ProcessMemory.WriteExactly(Tid, Arena.Base, Interpreter.Init).OrThrow("write of the init", Tracee.Whose);
        UserRegisters start = Tracee.Registers;
        start.rip = Arena.Base;
        start.rbx = (ulong)childInside;
        start.rsp = Arena.TapeAddress + 4096;
        start.orig_rax = ulong.MaxValue;
        Tracee.Registers = start;
        Tracee.SignalMask = 0;
        Tracee.Detach();
    }

    private UserRegisters WaitForEnd() => WaitForTrap(Arena.Base + Interpreter.BlankEnd);

    private UserRegisters WaitForTrap(ulong place)
    {
        while (true)
        {
            WaitStatus status = Tracee.WaitForStop();
            if (status.Event is PtraceConstants.EVENT_CLONE or PtraceConstants.EVENT_FORK or PtraceConstants.EVENT_VFORK)
            {
                Ptrace.GetEventMessage(Tid, out ulong tid).OrThrow("ptrace(GETEVENTMSG)", Tracee.Whose);
                _born.Enqueue((int)tid);
            }
            else if (status.Event == 0 && status.StopSignal == Signals.SIGTRAP)
            {
                UserRegisters registers = Tracee.Registers;
                if (registers.rip == place) return registers;
                throw new TargetUnruly($"{Tracee.Whose} trapped at {registers.rip:x}");
            }
            else if (status.Event == 0 && status.StopSignal is Signals.SIGSEGV or 7 or 4)
            {
                throw new TargetUnruly($"{Tracee.Whose} got {Signals.Name(status.StopSignal)} at {Tracee.Registers.rip:x} while running a tape");
            }
            Tracee.Continue();
        }
    }

    /// <summary>One call by a system call instruction of the process's own, that ends in no trap: for what an int3 would disturb.</summary>
    /// <param name="data">Is put at the start of the tape area, whose address is argument <paramref name="dataArgument"/> (0 first).</param>
    public void CallWithoutTrap(string words, ulong syscallInstruction, Syscall number, ReadOnlySpan<byte> data, int dataArgument, params ReadOnlySpan<ulong> arguments)
    {
        ProcessMemory.WriteExactly(Tid, Arena.TapeAddress, data).OrThrow("write of data", Tracee.Whose);
        Span<ulong> all = stackalloc ulong[6];
        arguments.CopyTo(all);
        all[dataArgument] = Arena.TapeAddress;
        UserRegisters call = Tracee.Registers;
        call.orig_rax = ulong.MaxValue;
        call.rip = syscallInstruction;
        (call.rax, call.rdi, call.rsi, call.rdx, call.r10) = ((ulong)(int)number, all[0], all[1], all[2], all[3]);
        Tracee.Registers = call;
        Tracee.SignalMask = ulong.MaxValue;
        new SysResult((long)Tracee.RunPreparedCall().rax).OrThrow(words, Tracee.Whose);
    }

    /// <summary>The same through the 32-bit interface; see <see cref="Compat"/>.</summary>
    public void CallCompat(string words, ulong instruction, int number, ReadOnlySpan<byte> data, int dataArgument, params ReadOnlySpan<ulong> arguments)
    {
        ProcessMemory.WriteExactly(Tid, Arena.TapeAddress, data).OrThrow("write of data", Tracee.Whose);
        Span<ulong> all = stackalloc ulong[6];
        arguments.CopyTo(all);
        if (dataArgument >= 0) all[dataArgument] = Arena.TapeAddress;
        Tracee.Registers = Compat.Call(Tracee.Registers, instruction, number, all);
        Tracee.SignalMask = ulong.MaxValue;
        new SysResult((long)Tracee.RunPreparedCall().rax).OrThrow(words, Tracee.Whose);
    }

    /// <summary>
    /// The last act of a process: unmaps the arena by a system call instruction of its own memory (its vdso's), and leaves the task
    /// in an interrupt stop, from where the kernel looks at interrupted calls and pending signals when it goes on.
    /// </summary>
    /// <param name="compat">The instruction is that of a 32-bit program (int $0x80).</param>
    public void UnmapArena(ulong syscallInstruction, bool compat)
    {
        UserRegisters call = Tracee.Registers;
        call.orig_rax = ulong.MaxValue;
        call.rip = syscallInstruction;
        (call.rax, call.rdi, call.rsi) = ((ulong)(int)Syscall.munmap, Arena.Base, Arena.Length);
        Tracee.Registers = compat ? Compat.Call(call, syscallInstruction, Compat.munmap, Arena.Base, Arena.Length) : call;
        Tracee.SignalMask = ulong.MaxValue;
        new SysResult((long)Tracee.RunPreparedCall().rax).OrThrow("munmap of the arena", Tracee.Whose);
        ParkInInterruptStop();
    }

    /// <summary>Lets the task go into a loop in its arena, for another tracer to take it from there: of pause(), or of nothing for one whose filters may not let it pause.</summary>
    public void Park(bool confined)
    {
        ProcessMemory.WriteExactly(Tid, Arena.TapeAddress, confined ? Interpreter.Spin : Interpreter.Park).OrThrow("write of a parking loop", Tracee.Whose);
        UserRegisters registers = Tracee.Registers;
        registers.rip = Arena.TapeAddress;
        registers.orig_rax = ulong.MaxValue;
        Tracee.Registers = registers;
        Tracee.SignalMask = ulong.MaxValue;
        Tracee.Detach();
    }

    public void ParkInInterruptStop()
    {
        Tracee.SignalMask = ulong.MaxValue;
        Tracee.Interrupt();
        Tracee.Continue();
        Tracee.WaitForInterrupt();
    }
}

/// <summary>Collects calls for one blank task and runs them tape by tape, as many as fit.</summary>
public sealed class TapeBatch(BlankTask task)
{
    // Room that one more step of a caller (a few calls and their data) may take before the next check.
    private const int Reserve = 96 * 1024;
    private Tape _tape = new();

    /// <summary>The tape to add to. What one caller adds before asking again must be small; results are there after the flush.</summary>
    public Tape Tape
    {
        get
        {
            if (_tape.Size + Reserve > Arena.TapeCapacity) Flush();
            return _tape;
        }
    }

    public void Flush()
    {
        Tape full = _tape;
        _tape = new Tape();
        task.Run(full);
    }
}
