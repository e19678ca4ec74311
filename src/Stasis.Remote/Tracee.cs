using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote.X64;

namespace Stasis.Remote;

/// <summary>The target ended while we worked on it. A result, not an error of the target's making.</summary>
public sealed class TargetGone(int tid) : Exception($"task {tid} ended meanwhile")
{
    public int Tid { get; } = tid;
}

/// <summary>The target did what it should not: ran on, or hung, or was stopped by another hand.</summary>
public sealed class TargetUnruly(string message) : Exception(message);

/// <summary>
/// One task under ptrace. All members must be called on the thread that seized it (the kernel answers ESRCH to others); every
/// entry asserts that. The task may die at any step: <see cref="TargetGone"/> then.
/// </summary>
public sealed class Tracee(int tid, int tgid) : HeldTask(tid, tgid)
{
    /// <summary>A stop that takes longer than this means a task in uninterruptible sleep.</summary>
    public static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(100);

    private readonly int _tracerThread = Environment.CurrentManagedThreadId;

    /// <summary>A SIGSTOP (which can't be blocked) that arrived in the middle of an injected call, to be sent again at the release; else 0.</summary>
    public int SwallowedStopSignal { get; private set; }

    private void AssertTracer() => InvariantBroken.Require(_tracerThread == Environment.CurrentManagedThreadId, "a tracee belongs to the thread that seized it");

    private void Require(SysResult result, string call)
    {
        if (result.Errno == Errno.ESRCH) throw new TargetGone(Tid);
        result.OrThrow(call, Whose);
    }

    public SysResult Seize(int options) { AssertTracer(); return Ptrace.Seize(Tid, options); }
    public void Interrupt() { AssertTracer(); Require(Ptrace.Interrupt(Tid), "ptrace(INTERRUPT)"); }
    public void Continue(int signal = 0) { AssertTracer(); Require(Ptrace.Continue(Tid, signal), "ptrace(CONT)"); }
    public void ContinueToSyscall() { AssertTracer(); Require(Ptrace.ContinueToSyscall(Tid), "ptrace(SYSCALL)"); }

    /// <summary>Sets the task's seccomp aside from now until it is let go, also by our death. Errors: EPERM without CAP_SYS_ADMIN, or under seccomp ourselves.</summary>
    public SysResult SuspendSeccomp() { AssertTracer(); return Ptrace.SetOptions(Tid, PtraceConstants.O_TRACESYSGOOD | PtraceConstants.O_SUSPEND_SECCOMP); }

    /// <summary>From now on its filters judge again, where it has any; and it may set aside those of others, which who is itself spared may not (kernel/ptrace.c).</summary>
    public void ResumeSeccomp() { AssertTracer(); Require(Ptrace.SetOptions(Tid, PtraceConstants.O_TRACESYSGOOD), "ptrace(SETOPTIONS)"); }

    /// <summary>Lets go. A task that is gone needs no letting go.</summary>
    public void Detach()
    {
        AssertTracer();
        SysResult result = Ptrace.Detach(Tid);
        if (result.Failed && result.Errno != Errno.ESRCH) result.OrThrow("ptrace(DETACH)", Whose);
    }

    public UserRegisters Registers
    {
        get { AssertTracer(); Require(Ptrace.GetRegisters(Tid, out UserRegisters registers), "ptrace(GETREGS)"); return registers; }
        set { AssertTracer(); Require(Ptrace.SetRegisters(Tid, value), "ptrace(SETREGS)"); }
    }

    public byte[] ExtendedState
    {
        get { AssertTracer(); (SysResult result, byte[] area) = Ptrace.GetExtendedState(Tid); Require(result, "ptrace(GETREGSET, NT_X86_XSTATE)"); return area; }
        set { AssertTracer(); Require(Ptrace.SetExtendedState(Tid, value), "ptrace(SETREGSET, NT_X86_XSTATE)"); }
    }

    public ulong SignalMask
    {
        get { AssertTracer(); Require(Ptrace.GetSignalMask(Tid, out ulong mask), "ptrace(GETSIGMASK)"); return mask; }
        set { AssertTracer(); Require(Ptrace.SetSignalMask(Tid, value), "ptrace(SETSIGMASK)"); }
    }

    public override (byte[] Program, ulong Flags)? ReadFilter(int place)
    {
        AssertTracer();
        byte[] program = new byte[LongestFilter];
        SysResult read = Ptrace.GetSeccompFilter(Tid, (ulong)place, program);
        if (read.Errno == Errno.ENOENT) return null;
        int instructions = (int)read.OrThrow("ptrace(PTRACE_SECCOMP_GET_FILTER)", Whose);
        Ptrace.GetSeccompFlags(Tid, (ulong)place, out ulong flags).OrThrow("ptrace(PTRACE_SECCOMP_GET_METADATA)", Whose);
        return (program[..(instructions * FilterInstruction)], flags);
    }

    public override TaskState ReadState()
    {
        SysResult rseq = Ptrace.GetRseq(Tid, out RseqConfiguration configuration);
        return new TaskState(Registers, ExtendedState, SignalMask, Peek(shared: false), Peek(shared: true), rseq.Failed ? default : configuration) { Dispatch = Ptrace.GetSyscallUserDispatch(Tid), Segments = Segments() };
    }

    private UserDescriptor[] Segments()
    {
        List<UserDescriptor> segments = [];
        for (int number = UserDescriptor.First; number <= UserDescriptor.Last; number++)
            if (!Ptrace.GetThreadArea(Tid, number, out UserDescriptor descriptor).Failed && !descriptor.IsEmpty) segments.Add(descriptor);
        return [.. segments];
    }

    private byte[][] Peek(bool shared)
    {
        List<byte[]> signals = [];
        byte[] buffer = new byte[128];
        while (true)
        {
            SysResult result = Ptrace.PeekSignal(Tid, (ulong)signals.Count, shared, buffer);
            if (result.OrThrow("ptrace(PEEKSIGINFO)", Whose) == 0) return [.. signals];
            signals.Add([.. buffer]);
        }
    }

    /// <summary>Whether it comes to a stop within the patience.</summary>
    public bool StopsWithin(TimeSpan patience)
    {
        AssertTracer();
        long deadline = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        for (int round = 0; ; round++)
        {
            (SysResult looked, WaitStatus? stopped) = Wait.Peek(Tid);
            if (looked.Failed || stopped is not null) return true; // what it is the next wait tells, also that it is gone
            if (Environment.TickCount64 > deadline) return false;
            Pause.Round(round);
        }
    }

    /// <summary>The next stop, within the patience. Throws <see cref="TargetGone"/> when the task ends instead.</summary>
    /// <param name="leave">The stop stays there to be waited for.</param>
    public WaitStatus WaitForStop(bool leave = false)
    {
        AssertTracer();
        (SysResult result, WaitStatus? status) = Wait.For(Tid, s_look, leave);
        long deadline = Environment.TickCount64 + (long)StopPatience.TotalMilliseconds;
        while (result.Errno == Errno.ETIMEDOUT && Environment.TickCount64 < deadline)
        {
            // The end of a leader is told only after the ends of its threads are taken, which are tracees of ours as well (ptrace(2), "Death under ptrace").
            if (ProcStat.ReadTask(Tgid, Tid) is not { State: not ('Z' or 'X') }) throw new TargetGone(Tid);
            (result, status) = Wait.For(Tid, s_look, leave);
        }
        if (result.Errno == Errno.ECHILD) throw new TargetGone(Tid);
        if (result.Errno == Errno.ETIMEDOUT)
            throw new TargetUnruly($"{Whose} can't be stopped: it has been inside a system call that can't be interrupted for {StopPatience.TotalSeconds:0} s; try again when its I/O is done");
        result.OrThrow("wait4", Whose);
        if (!status!.Value.Gone) return status.Value;
        if (leave) Wait.Poll(Tid); // only then does its parent hear of it
        throw new TargetGone(Tid);
    }

    /// <summary>
    /// Waits for the stop that PTRACE_INTERRUPT asked for. A signal on its way is delivered first (its handler's frame is set up, no
    /// instruction of it runs, as the interrupt is still pending), so that the freeze loses none.
    /// </summary>
    public void WaitForInterrupt()
    {
        while (true)
        {
            // Once its stop has been waited for, a signal on its way is lost when we die (kernel/exit.c, wait_task_stopped takes exit_code away).
            WaitStatus status = WaitForStop(leave: true);
            int signal = status.Event == 0 && !status.SyscallStop ? status.StopSignal : 0;
            if (signal != 0)
            {
                SpareOfIgnored(signal);
                Continue(signal);
                continue;
            }
            WaitForStop();
            if (!status.EventStop)
            {
                Continue();
                continue;
            }
            GroupStopSignal = Signals.IsStop(status.StopSignal) ? status.StopSignal : 0;
            return;
        }
    }

    // Only because we trace it did such a signal wake it; by itself it would have slept on.
    private void SpareOfIgnored(int signal)
    {
        UserRegisters registers = Registers;
        if (SyscallRestart.IsStrayInterrupt(registers) && ProcStatus.Read($"/proc/{Tgid}/task/{Tid}") is { } status && (status.IgnoredSignals & Signals.Bit(signal)) != 0)
            Registers = SyscallRestart.UnlessHandled(registers);
    }

    /// <summary>Runs one system call that the registers are set up for, from entry to exit; the registers at its exit.</summary>
    /// <remarks>By two syscall stops, never a single step: a tracer that dies in a step stop delivers SIGTRAP, in a TRACESYSGOOD stop nothing.</remarks>
    public UserRegisters RunPreparedCall()
    {
        for (int stops = 0; stops < 2;)
        {
            ContinueToSyscall();
            WaitStatus status = WaitForStop();
            if (status.SyscallStop) stops++;
            else if (status.Stopped && status.Event == 0 && Signals.IsStop(status.StopSignal)) SwallowedStopSignal = status.StopSignal;
            else if (status.Stopped && status.Event == 0)
                throw new TargetUnruly($"{Whose} got {Signals.Name(status.StopSignal)} in the middle of an injected call");
        }
        return Registers;
    }
}
