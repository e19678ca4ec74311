using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State.Processes;
using Stasis.State.Seccomp;

namespace Stasis.Engine;

/// <summary>
/// The tracers of a frozen tree as machines that make ptrace calls for us. Nobody else may board these processes meanwhile. Disposing
/// it gives them back as they were.
/// </summary>
internal sealed class TracerHands(Freezer freezer, CodeFinder finder) : IDisposable
{
    private readonly Dictionary<int, LiveMachine> _machines = [];

    private readonly Dictionary<int, TracedTask> _tasks = [];

    /// <summary>The traced tasks of a process, leader first. Their state is read once.</summary>
    public List<HeldTask> TasksOf(ProcessSurvey process) => [.. process.Tids.Where(freezer.Traced.ContainsKey).OrderBy(tid => tid != process.Pid).Select(TaskOf)];

    private TracedTask TaskOf(int tid) => _tasks.TryGetValue(tid, out TracedTask? task) ? task : _tasks[tid] = Take(freezer.Traced[tid].Process, tid, freezer.Traced[tid].Tracer);

    private TracedTask Take(int process, int tid, int tracer)
    {
        TraceSight sight = TraceSight.Of(tid) ?? throw new TargetGone(tid);
        (TraceStop? stop, string why) = TraceState.Classify(sight);
        var state = new TraceState(tracer, sight.Seized, sight.Options, freezer.Halted.TryGetValue(tid, out (HaltedBy By, bool StopsAtSyscalls) halted) ? halted.StopsAtSyscalls : sight.StopsAtSyscalls, stop ?? throw new TargetUnruly($"process {process}: {why}; try again in a moment"), sight.ExitCode == 0, [], [])
        {
            StopAsked = sight.StopsSoon && halted.By == HaltedBy.Nobody,
        };
        return new TracedTask(tid, process, InsideId(process, tid), InsideId(process, process), state, HandOf(tracer), halted.By, sight.StopsSoon, IsConfined(process, tid), JudgeOf(process, tid, tracer));
    }

    private readonly Dictionary<int, Hand> _hands = [];

    private Hand HandOf(int tracer)
    {
        if (_hands.TryGetValue(tracer, out Hand? hand)) return hand;
        Tracee thread = freezer.Task(tracer) ?? throw new TargetGone(tracer);
        if (!IsConfined(thread.Tgid, thread.Tid)) thread.ResumeSeccomp();
        return _hands[tracer] = new Hand(this, thread, freezer.HadNews(tracer));
    }

    private static bool IsConfined(int process, int tid) => ProcStatus.Read($"/proc/{process}/task/{tid}") is { } status && status.Number("Seccomp") != SeccompRecord.Disabled;

    // null for a task without filters, or when its tracer may set them aside.
    private static FilterJudge? JudgeOf(int process, int tid, int tracer) =>
        IsConfined(process, tid) && ProcStatus.Read($"/proc/{tracer}") is { } status && !TraceExamination.MaySetAside(status) ? FilterJudge.Of(tid) : null;

    // As the tracer knows it: they live in the same pid namespace (the examination refuses others).
    private static int InsideId(int pid, int tid) => ProcStatus.Read($"/proc/{pid}/task/{tid}")?.Numbers("NSpid") is { Length: > 0 } ids ? (int)ids[^1] : tid;

    /// <summary>Asks for a stop of a task that its tracer lets run. No stop of its own is taken away by that, nor is its tracer told that it was us.</summary>
    public void Interrupt(int process, int tid, int tracer)
    {
        var tape = new Tape();
        // A task that is gone, or that is just ending, stops no more.
        tape.Try("ptrace(INTERRUPT)", Syscall.ptrace, PtraceConstants.INTERRUPT, InsideId(process, tid), 0, 0);
        HandOf(tracer).Run(tape);
    }

    /// <summary>
    /// After the halt: whatever becomes of us from here on, a call that it interrupted is made again when the tracer lets its task go on. The kernel
    /// does that only for a task that it has a reason to look at (TIF_SIGPENDING), which the exit stop of the call has taken away.
    /// </summary>
    public void Settle(int process, int tid, int tracer)
    {
        try
        {
            var look = new Tape();
            TapeData seen = CallsOn(look, process, tid).GetRegisters();
            HandOf(tracer).Run(look);
            UserRegisters registers = seen.Read<UserRegisters>();
            bool stray = SyscallRestart.IsStrayInterrupt(registers);
            if (!stray && !SyscallRestart.IsRestart(registers)) return;
            if (ProcStatus.Read($"/proc/{process}/task/{tid}") is not { } status || ((status.Hex("SigPnd") | status.Hex("ShdPnd")) & ~status.Hex("SigBlk") & ~Signals.Bit(Signals.SIGSTOP)) != 0) return;
            UserRegisters? spared = SyscallRestart.NeedsRestartBlock(registers) && IsConfined(process, tid) ? Spared(TaskOf(tid), registers) : null;
            var tape = new Tape();
            TraceCalls calls = CallsOn(tape, process, tid);
            if (spared is { } again) calls.SetRegisters(again);
            if (stray) calls.SetRegisters(registers with { rax = unchecked((ulong)-(long)Errno.ERESTARTNOHAND) });
            if (TraceSight.Of(tid) is { Seized: true } sight && TraceState.Classify(sight).Stop == TraceStop.SyscallExit) calls.Request("INTERRUPT", PtraceConstants.INTERRUPT, 0, 0);
            HandOf(tracer).Run(tape);
        }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.ESRCH) { } // it has ended, or does not stop, which the examination refuses
    }

    // Its filters would end it when it goes on sleeping, and our stop made it ask.
    private static UserRegisters? Spared(TracedTask task, in UserRegisters registers) =>
        ForbiddenRestart.Forbid(SeccompCapture.Read(task), registers, task.IsTold) ? SyscallRestart.ForImage(registers, LiveMachine.CodeBefore(task, registers), LiveMachine.MemoryOf(task)) : null;

    private static TraceCalls CallsOn(Tape tape, int process, int tid) => new(tape, InsideId(process, tid), InsideId(process, process));

    /// <summary>After the halt: takes back the news of it.</summary>
    public void SweepNews(int tracer)
    {
        if (HandOf(tracer).HasNews) return;
        var tape = new Tape();
        TraceCalls.SweepNews(tape);
        HandOf(tracer).Run(tape);
    }

    /// <summary>Lets those go on that ran before.</summary>
    public void LetGo()
    {
        foreach (int tid in freezer.Halted.Keys.Where(freezer.Traced.ContainsKey))
        {
            try
            {
                TaskOf(tid).LetGo();
            }
            catch (Exception error) when (error is TargetGone or TargetUnruly or KernelRefusal) { } // it has ended, or its tracer hears of the stop, which it can bear; the others go on
        }
    }

    private LiveMachine MachineOf(Tracee thread)
    {
        if (_machines.TryGetValue(thread.Tgid, out LiveMachine? machine)) return machine;
        return _machines[thread.Tgid] = LiveMachine.Board(freezer.ByProcess[thread.Tgid][0], ProcMaps.Read(thread.Tgid).Mappings, finder, 1, compat: false);
    }

    public void Dispose()
    {
        foreach (LiveMachine machine in _machines.Values) machine.Dispose();
        _machines.Clear();
    }

    private sealed class Hand(TracerHands hands, Tracee thread, bool hadNews) : ITracerHand
    {
        public bool HasNews => hadNews;
        public bool IsTold(TracedTask task, in UserRegisters registers) => FilterVerdict.IsTold(SeccompCapture.Read(task), registers);
        public void Run(Tape tape) => hands.MachineOf(thread).Run(thread, tape);
        public ulong FindInstruction(int pid) => hands.FindInstruction(pid);
    }

    private ulong FindInstruction(int pid) => finder.Find(pid, ProcMaps.Read(pid).Mappings, [0x0f, 0x05]) ?? throw new TargetUnruly($"process {pid} has no system call instruction in its memory");
}
