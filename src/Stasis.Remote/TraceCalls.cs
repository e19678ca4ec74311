using System.Runtime.InteropServices;
using Stasis.Linux;
using Stasis.Remote.X64;

namespace Stasis.Remote;

/// <summary>
/// ptrace calls on one tracee, for the tape of the thread that traces it. Ids are those that this thread knows the tracee by. While
/// these calls let the tracee run, all its signals are blocked but one of ours, so each run ends in a stop that is known beforehand.
/// </summary>
public sealed class TraceCalls(Tape tape, int tid, int tgid)
{
    private const int P_PID = 1, WNOHANG = 1, WSTOPPED = 2, WEXITED = 4, WNOWAIT = 0x1000000, __WALL = 0x40000000;
    private const ulong AllBlocked = ulong.MaxValue;

    public TapeCall Request(string words, int request, TapeArgument address, TapeArgument data) => tape.Call($"ptrace({words})", Syscall.ptrace, request, tid, address, data);

    public TapeData GetRegisters()
    {
        TapeData registers = tape.Reserve(Marshal.SizeOf<UserRegisters>());
        Request("GETREGS", PtraceConstants.GETREGS, 0, registers);
        return registers;
    }

    public void SetRegisters(in UserRegisters registers) => Request("SETREGS", PtraceConstants.SETREGS, 0, tape.Data(registers));
    public void SetExtendedState(byte[] area) => Request("SETREGSET, NT_X86_XSTATE", PtraceConstants.SETREGSET, PtraceConstants.NT_X86_XSTATE, Vector(tape.Data(area)));
    public void SetSignalMask(ulong mask) => Request("SETSIGMASK", PtraceConstants.SETSIGMASK, 8, tape.Data(mask));

    /// <summary>struct iovec of a piece of data.</summary>
    public TapeData Vector(TapeData data)
    {
        TapeData vector = tape.Data<ulong>(0, (ulong)data.Length);
        tape.PointAt(vector, 0, data);
        return vector;
    }

    /// <summary>Waits for the next stop. Only what <paramref name="take"/> says is taken from whoever waits later; a death never is.</summary>
    public void Await(bool take)
    {
        tape.Call("waitid for a stop", Syscall.waitid, P_PID, tid, tape.Reserve(128), WSTOPPED | WEXITED | WNOWAIT | __WALL, 0);
        if (take) Take();
    }

    private void Take() => tape.Call("waitid for a stop", Syscall.waitid, P_PID, tid, tape.Reserve(128), WSTOPPED | WNOHANG | __WALL, 0);

    /// <summary>On to the stop that is known to come next, whose coming nobody else has asked for.</summary>
    public void PassStop()
    {
        SetSignalMask(AllBlocked);
        Request("CONT", PtraceConstants.CONT, 0, 0);
        Await(take: true);
    }

    /// <summary>Lets a task that we had halted go on as before, and its tracer hears of nothing. In a call, its entry is passed once more.</summary>
    /// <param name="stopsSoon">A PTRACE_INTERRUPT of ours still waits: any stop takes it away (kernel/signal.c, ptrace_stop), one asked for in a stop does not.</param>
    /// <param name="told">Its filters stop it for its tracer at that call (PTRACE_EVENT_SECCOMP), behind the entry.</param>
    /// <param name="sweeps">The SIGCHLD of our stops is taken, before it goes: a stop that comes then is the tracer's.</param>
    public void LetGo(TraceState state, ulong mask, bool stopsSoon, bool told, bool sweeps)
    {
        Take();
        if (state.Go == TraceGo.GoesInCall)
        {
            SetSignalMask(AllBlocked);
            if (stopsSoon) ToNextSyscallStop(take: true);
            ToNextSyscallStop(take: true); // the entry
            if (told) PassEvent(state, mask);
            SetSignalMask(mask);
        }
        else if (told) PassEvent(state, mask);
        if (sweeps) SweepNews(tape);
        Go(state);
    }

    /// <summary>
    /// Into the stop for which its filters stop a task that makes its call again, of which the tracer does not hear: from the call's entry, or for one
    /// that its tracer lets go on without a stop there, from before the call.
    /// </summary>
    public void PassEvent(TraceState state, ulong mask)
    {
        SetSignalMask(AllBlocked);
        if (state.StopsAtSyscalls && state.Go == TraceGo.GoesInCall) Request("SYSCALL", PtraceConstants.SYSCALL, 0, 0);
        else Request("CONT", PtraceConstants.CONT, 0, 0);
        Await(take: true);
        SetSignalMask(mask);
    }

    public void Go(TraceState state)
    {
        if (state.StopsAtSyscalls) Request("SYSCALL", PtraceConstants.SYSCALL, 0, 0);
        else Request("CONT", PtraceConstants.CONT, 0, 0);
    }

    private void ToNextSyscallStop(bool take)
    {
        Request("SYSCALL", PtraceConstants.SYSCALL, 0, 0);
        Await(take);
    }

    /// <summary>Out of the entry of a system call, which is not made: it can be made again later.</summary>
    public void LeaveEntry(UserRegisters registers)
    {
        registers.orig_rax = ulong.MaxValue;
        SetRegisters(registers);
        SetSignalMask(AllBlocked);
        ToNextSyscallStop(take: true);
    }

    /// <summary>One system call by an instruction of the tracee's own. It stands at its exit afterwards; its result is rax of what is returned.</summary>
    public TapeData Call(UserRegisters registers, ulong instruction, Syscall number, params ReadOnlySpan<ulong> arguments)
    {
        SetRegisters(Prepared(registers, instruction, number, arguments));
        SetSignalMask(AllBlocked);
        ToNextSyscallStop(take: true);
        ToNextSyscallStop(take: true);
        return GetRegisters();
    }

    private static UserRegisters Prepared(UserRegisters registers, ulong instruction, Syscall number, ReadOnlySpan<ulong> arguments)
    {
        Span<ulong> all = stackalloc ulong[6];
        arguments.CopyTo(all);
        (registers.cs, registers.ss) = (Compat.LongCodeSegment, Compat.StackSegment);
        registers.rip = instruction;
        registers.orig_rax = ulong.MaxValue;
        registers.rax = (ulong)(int)number;
        (registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9) = (all[0], all[1], all[2], all[3], all[4], all[5]);
        return registers;
    }

    /// <summary>Lets the tracee run until it sends itself the signal.</summary>
    public TapeData RunUntil(in UserRegisters start, int signal)
    {
        SetRegisters(start);
        SetSignalMask(AllBlocked & ~Signals.Bit(signal));
        Request("CONT", PtraceConstants.CONT, 0, 0);
        Await(take: true);
        return GetRegisters();
    }

    /// <summary>
    /// The last calls on a tracee: the stop its tracer left it in or was about to hear of, with these registers and this mask. It stands in
    /// any stop but the entry of a system call.
    /// </summary>
    /// <param name="signal">A signal that does not wait for the tracee, see <see cref="FreeSignal"/>; only used for a signal-delivery-stop.</param>
    public void Stand(TraceState wanted, UserRegisters registers, ulong mask, ulong instruction, int signal)
    {
        bool take = wanted.Reported;
        switch (wanted.Stop)
        {
            case TraceStop.Signal:
                SetRegisters(Prepared(registers, instruction, Syscall.tgkill, [(ulong)tgid, (ulong)tid, (ulong)signal]));
                SetSignalMask(AllBlocked & ~Signals.Bit(signal));
                Request("CONT", PtraceConstants.CONT, 0, 0);
                Await(take);
                break;
            case TraceStop.SyscallExit:
                SetRegisters(Prepared(registers, instruction, Syscall.getpid, []));
                SetSignalMask(AllBlocked);
                ToNextSyscallStop(take: true);
                ToNextSyscallStop(take);
                break;
            case TraceStop.SyscallEntry:
                SetRegisters(registers with { rip = registers.rip - 2, rax = registers.orig_rax, orig_rax = ulong.MaxValue });
                SetSignalMask(AllBlocked);
                ToNextSyscallStop(take);
                break;
            case TraceStop.Interrupt:
                SetRegisters(Prepared(registers, instruction, Syscall.getpid, []));
                SetSignalMask(AllBlocked);
                Request("INTERRUPT", PtraceConstants.INTERRUPT, 0, 0);
                Request("CONT", PtraceConstants.CONT, 0, 0);
                Await(take);
                break;
        }
        SetRegisters(registers);
        SetSignalMask(mask);
        // So that the kernel looks at the interrupted call also when nobody but the tracer is left to let it go on.
        if (wanted.StopAsked || wanted is { Stop: TraceStop.SyscallExit, Go: TraceGo.GoesInCall }) Request("INTERRUPT", PtraceConstants.INTERRUPT, 0, 0);
        if (wanted.Stop == TraceStop.Signal) Request("SETSIGINFO", PtraceConstants.SETSIGINFO, 0, tape.Data(wanted.SignalInformation));
    }

    /// <summary>The signal by which a task may be brought to a signal-delivery-stop: of those waiting, a second one would be lost.</summary>
    /// <returns>0 when there is none.</returns>
    public static int FreeSignal(TraceState wanted, TaskState state)
    {
        ulong waiting = 0;
        foreach (byte[] information in (IEnumerable<byte[]>)[.. state.OwnSignals, .. state.SharedSignals]) waiting |= Signals.Bit(BitConverter.ToInt32(information));
        if ((waiting & Signals.Bit(Signals.SIGSTOP)) != 0) return 0; // can't be blocked: it would come first
        if (wanted is { Stop: TraceStop.Signal, Reported: false }) return wanted.StopSignal is > 0 and < Signals.SIGKILL or > Signals.SIGKILL and <= Signals.Count && (waiting & Signals.Bit(wanted.StopSignal)) == 0 ? wanted.StopSignal : 0;
        // First those that are ignored where nobody has asked for them.
        foreach (int signal in (ReadOnlySpan<int>)[Signals.SIGURG, Signals.SIGWINCH, Signals.SIGTRAP, Signals.SIGUSR1, Signals.SIGUSR2, Signals.SIGALRM])
            if ((waiting & Signals.Bit(signal)) == 0) return signal;
        return 0;
    }

    /// <summary>Takes the SIGCHLD that our stops of the tracee have sent to the tracer's process. For a tracer that had none waiting before.</summary>
    public static void SweepNews(Tape tape) =>
        tape.Try("rt_sigtimedwait", Syscall.rt_sigtimedwait, tape.Data(Signals.Bit(Signals.SIGCHLD)), 0, tape.Data<long>(0, 0), 8);
}
