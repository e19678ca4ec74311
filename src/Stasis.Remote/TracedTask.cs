using System.Runtime.InteropServices;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote.X64;

namespace Stasis.Remote;

/// <summary>The way to the thread that traces a task: it runs our tape, as a task that we hold.</summary>
public interface ITracerHand
{
    void Run(Tape tape);

    /// <summary>A system call instruction in the memory of a process.</summary>
    ulong FindInstruction(int pid);

    /// <summary>Whether the task's filters stop it for its tracer when it makes the call that these registers, of an interrupted call, are about to make again.</summary>
    bool IsTold(TracedTask task, in UserRegisters registers);

    /// <summary>Whether a SIGCHLD waited for its process when it was frozen.</summary>
    bool HasNews { get; }
}

/// <summary>How a traced task that ran was brought to a stop.</summary>
public enum HaltedBy { Nobody, Interrupt, Signal }

/// <summary>
/// A task that a tracer of the tree holds, and that we therefore can't: ptrace is asked for on the tape of the tracer's thread, which we do
/// hold. It stays stopped, as only its tracer can let it go on.
/// </summary>
/// <param name="insideTid">Its id, and that of its process, as the tracer knows them.</param>
/// <param name="confined">It has seccomp filters, which the tracer sets aside while it runs for us, unless they are judges.</param>
/// <param name="judge">Its filters, when the tracer may not set them aside; else null.</param>
public sealed class TracedTask(int tid, int tgid, int insideTid, int insideTgid, TraceState sight, ITracerHand tracer, HaltedBy halted, bool stopsSoon, bool confined, ICallJudge? judge) : HeldTask(tid, tgid)
{
    private const int SignalsAtOnce = 64;
    private TaskState? _state;
    private readonly bool _setsAside = confined && judge is null;
    private bool _stopsSoon = stopsSoon;

    public ITracerHand Tracer => tracer;

    public TraceCalls Calls(Tape tape) => new(tape, insideTid, insideTgid);
    public int InsideTid => insideTid;

    /// <summary>Its tracer has asked to be told of calls by its filters (PTRACE_O_TRACESECCOMP).</summary>
    public bool IsTold => (sight.Options & PtraceConstants.O_TRACESECCOMP) != 0;
    public int InsideTgid => insideTgid;

    /// <summary>Read once, on the tracer's tape: what comes later must not disturb it.</summary>
    public override TaskState ReadState()
    {
        if (_state is not null) return _state;
        const int MaxExtendedState = 16 * 1024;
        var tape = new Tape();
        TraceCalls calls = Calls(tape);
        TapeData registers = calls.GetRegisters(), area = tape.Reserve(MaxExtendedState), vector = calls.Vector(area), mask = tape.Reserve(8), rseq = tape.Reserve(Marshal.SizeOf<RseqConfiguration>());
        calls.Request("GETREGSET, NT_X86_XSTATE", PtraceConstants.GETREGSET, PtraceConstants.NT_X86_XSTATE, vector);
        calls.Request("GETSIGMASK", PtraceConstants.GETSIGMASK, 8, mask);
        tape.Try("ptrace(GET_RSEQ_CONFIGURATION)", Syscall.ptrace, PtraceConstants.GET_RSEQ_CONFIGURATION, insideTid, rseq.Length, rseq);
        TapeData dispatch = tape.Reserve(32);
        tape.Try("ptrace(GET_SYSCALL_USER_DISPATCH_CONFIG)", Syscall.ptrace, PtraceConstants.GET_SYSCALL_USER_DISPATCH_CONFIG, insideTid, dispatch.Length, dispatch);
        TapeData[] segments = [.. Enumerable.Range(UserDescriptor.First, UserDescriptor.Last - UserDescriptor.First + 1).Select(number =>
        {
            TapeData descriptor = tape.Reserve(16);
            tape.Try("ptrace(GET_THREAD_AREA)", Syscall.ptrace, PtraceConstants.GET_THREAD_AREA, insideTid, number, descriptor);
            return descriptor;
        })];
        TapeData information = tape.Reserve(128);
        calls.Request("GETSIGINFO", PtraceConstants.GETSIGINFO, 0, information);
        TapeData[] debug = [.. TraceState.DebugRegisterNumbers.Select(number =>
        {
            TapeData value = tape.Reserve(8);
            calls.Request($"PEEKUSER of debug register {number}", PtraceConstants.PEEKUSER, TraceState.DebugRegisterOffset + number * 8, value);
            return value;
        })];
        tracer.Run(tape);
        if (dispatch.Read<ulong>() != 0) throw new TargetUnruly($"{Whose} uses syscall user dispatch, which is not carried yet; start the program without it");
        if (segments.Any(segment => !segment.Read<UserDescriptor>().IsEmpty)) throw new TargetUnruly($"{Whose} is traced and has segments of its own (set_thread_area), which together are not carried yet; end the debugger or strace session first");
        byte[][] own = Peek(0), shared = Peek(PtraceConstants.PEEKSIGINFO_SHARED);
        var state = new TaskState(registers.Read<UserRegisters>(), area.Bytes[..(int)vector.Read<ulong>(8)], mask.Read<ulong>(), own, shared, rseq.Read<RseqConfiguration>())
        {
            Trace = sight with { SignalInformation = information.Bytes, DebugRegisters = [.. debug.Select(value => value.Read<ulong>())] },
        };
        return _state = halted == HaltedBy.Nobody ? state : WithoutOurStop(state);
    }

    public override (byte[] Program, ulong Flags)? ReadFilter(int place)
    {
        if (judge is not null) return judge.Filter(place);
        var count = new Tape();
        TapeCall counted = count.Try("ptrace(PTRACE_SECCOMP_GET_FILTER)", Syscall.ptrace, PtraceConstants.SECCOMP_GET_FILTER, insideTid, place, 0);
        tracer.Run(count);
        if (counted.Result.Errno is Errno.ENOENT or Errno.EINVAL) return null; // no more, or none at all
        int length = (int)counted.Result.OrThrow("ptrace(PTRACE_SECCOMP_GET_FILTER)", Whose) * FilterInstruction;
        InvariantBroken.Require(length <= LongestFilter, "a filter is longer than the kernel takes");
        var tape = new Tape();
        TapeData program = tape.Reserve(length), metadata = tape.Data<ulong>((ulong)place, 0); // struct seccomp_metadata: filter_off, flags
        Calls(tape).Request("PTRACE_SECCOMP_GET_FILTER", PtraceConstants.SECCOMP_GET_FILTER, place, program);
        Calls(tape).Request("PTRACE_SECCOMP_GET_METADATA", PtraceConstants.SECCOMP_GET_METADATA, metadata.Length, metadata);
        tracer.Run(tape);
        return (program.Bytes, metadata.Read<ulong>(8));
    }

    // What the task would be like if we had not halted it.
    private TaskState WithoutOurStop(TaskState state)
    {
        if (halted == HaltedBy.Signal)
        {
            // It met a stop of its own first, and ours still waits.
            int own = Array.FindLastIndex(state.OwnSignals, signal => BitConverter.ToInt32(signal) == Signals.SIGSTOP);
            if (own >= 0)
            {
                _stopsSoon = true;
                return state with { OwnSignals = [.. state.OwnSignals.Where((_, index) => index != own)] };
            }
        }
        TraceState trace = state.Trace!;
        UserRegisters registers = state.Registers;
        bool undisturbed = !state.OwnSignals.Concat(state.SharedSignals).Any(signal => (state.SignalMask & Signals.Bit(BitConverter.ToInt32(signal))) == 0);
        bool stray = undisturbed && SyscallRestart.IsStrayInterrupt(registers);
        if (stray) registers.rax = unchecked((ulong)-(long)Errno.ERESTARTNOHAND);
        TraceGo go = trace.Reported ? TraceGo.Stays : trace.Stop switch
        {
            TraceStop.Interrupt when halted == HaltedBy.Interrupt => TraceGo.Goes,
            TraceStop.Signal when halted == HaltedBy.Signal && trace.StopSignal == Signals.SIGSTOP => TraceGo.Goes,
            TraceStop.SyscallExit when halted == HaltedBy.Interrupt && undisturbed && SyscallRestart.IsRestart(registers) => TraceGo.GoesInCall,
            _ => TraceGo.Stays,
        };
        return go == TraceGo.Stays ? state : state with { Registers = registers, Trace = trace with { Go = go } };
    }

    /// <summary>Lets it go on, if it is one that we had halted.</summary>
    public void LetGo()
    {
        TaskState state = ReadState();
        if (_stopsSoon && state.Trace is { Go: TraceGo.Stays, StopAsked: false })
        {
            Errand(tracer.FindInstruction(Tgid), (_, _, _) => { });
            return;
        }
        if (state.Trace!.Go == TraceGo.Stays) return;
        bool told = confined && SyscallRestart.IsRestart(state.Registers) && (state.Trace.Options & PtraceConstants.O_TRACESECCOMP) != 0 && tracer.IsTold(this, state.Registers) && !HasStopWaiting();
        var tape = new Tape();
        TraceCalls calls = Calls(tape);
        calls.SetRegisters(state.Registers);
        calls.LetGo(state.Trace, state.SignalMask, _stopsSoon, told, sweeps: !tracer.HasNews);
        tracer.Run(tape);
    }

    // It can't be blocked, and would come instead of the stop that we want; that its tracer is told twice is the smaller evil.
    private bool HasStopWaiting() => ProcStatus.Read($"/proc/{Tgid}/task/{Tid}") is not { } status || ((status.Hex("SigPnd") | status.Hex("ShdPnd")) & Signals.Bit(Signals.SIGSTOP)) != 0;

    private byte[][] Peek(uint flags)
    {
        List<byte[]> signals = [];
        while (true)
        {
            var tape = new Tape();
            TapeData which = tape.Data<ulong>((ulong)signals.Count, flags | (ulong)SignalsAtOnce << 32), found = tape.Reserve(128 * SignalsAtOnce); // off, flags, nr
            TapeCall call = Calls(tape).Request("PEEKSIGINFO", PtraceConstants.PEEKSIGINFO, which, found);
            tracer.Run(tape);
            int count = (int)call.Result.Value;
            for (int i = 0; i < count; i++) signals.Add(found.Bytes[(i * 128)..(i * 128 + 128)]);
            if (count < SignalsAtOnce) return [.. signals];
        }
    }

    /// <summary>
    /// Runs calls on the tracee that change it, and brings it back to where it was, all on one tape of the tracer: whatever becomes of us
    /// meanwhile, the tracer makes all of them.
    /// </summary>
    public void Errand(ulong instruction, Action<TraceCalls, UserRegisters, int> body)
    {
        TaskState state = ReadState();
        TraceState trace = state.Trace!;
        int signal = TraceCalls.FreeSignal(trace, state);
        if (signal == 0) throw new TargetUnruly($"{Whose}, which is traced, has signals waiting that would come between; try again in a moment");
        JudgeErrand(state, instruction, signal);
        var tape = new Tape();
        TraceCalls calls = Calls(tape);
        if (_setsAside) calls.Request("SETOPTIONS, PTRACE_O_SUSPEND_SECCOMP", PtraceConstants.SETOPTIONS, 0, trace.Options | PtraceConstants.O_SUSPEND_SECCOMP);
        // The stop at the exit takes a waiting PTRACE_INTERRUPT with it, but no SIGSTOP.
        if (trace.Stop == TraceStop.SyscallEntry) calls.LeaveEntry(state.Registers);
        if (_stopsSoon && !(trace.Stop == TraceStop.SyscallEntry && trace.Seized)) calls.PassStop();
        body(calls, state.Registers, trace is { Stop: TraceStop.Signal, Reported: false } ? Passing(state, signal) : signal);
        calls.Stand(trace, state.Registers, state.SignalMask, instruction, signal);
        if (_setsAside) calls.Request("SETOPTIONS", PtraceConstants.SETOPTIONS, 0, trace.Options);
        if (!tracer.HasNews) TraceCalls.SweepNews(tape);
        tracer.Run(tape);
        _stopsSoon = trace.StopAsked || trace.Go == TraceGo.GoesInCall;
    }

    // The calls that bring it away from where it stands, and back there.
    private void JudgeErrand(TaskState state, ulong instruction, int signal)
    {
        if (judge is null) return;
        UserRegisters r = state.Registers;
        if (state.Trace!.Stop == TraceStop.SyscallEntry && !judge.AllowsSkipping(r.rip, [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9])) throw Forbidden("leave the call in which it stands");
        if (state.Trace.Stop == TraceStop.Signal) Judge((int)Syscall.tgkill, instruction, [(ulong)insideTgid, (ulong)insideTid, (ulong)signal]);
        else if (state.Trace.Stop is TraceStop.SyscallExit or TraceStop.Interrupt) Judge((int)Syscall.getpid, instruction, []);
    }

    /// <summary>Throws <see cref="TargetUnruly"/> when its filters do not let it make a call that we need.</summary>
    /// <param name="instruction">Where the call's instruction is.</param>
    /// <param name="mayFail">A failure is an answer too.</param>
    public void Judge(int number, ulong instruction, ReadOnlySpan<ulong> arguments, bool mayFail = false)
    {
        if (judge is null) return;
        Span<ulong> all = stackalloc ulong[6];
        all.Clear();
        arguments.CopyTo(all);
        if (!judge.Allows(number, instruction + 2, all) && !(mayFail && judge.NeedNotBeAsked(number, instruction + 2, all))) throw Forbidden($"make the call {(Syscall)number}");
    }

    private TargetUnruly Forbidden(string what) => new($"{Whose} is traced, and its seccomp filters, which its tracer may not set aside, do not let it {what}, as stasis would have it; start the debugger as root and outside of the sandbox, or end the session first");

    private static int Passing(TaskState state, int other)
    {
        int signal = TraceCalls.FreeSignal(state.Trace! with { Reported = true }, state);
        return signal == 0 ? other : signal;
    }
}
