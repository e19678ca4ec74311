using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Descriptors.UserFaultFd;
using Stasis.State.Processes;
using Stasis.State.Seccomp;
using Stasis.State.Threads;

namespace Stasis.Engine;

/// <summary>
/// Stops every task of a tree by ptrace and lets all of them go again, whatever happened in between. A tool that dies lets them go
/// too: the kernel detaches its tracees.
/// </summary>
/// <param name="eventWaits">Threads that were in a wait for events with a limit when they were last looked at.</param>
internal sealed class Freezer(IReadOnlySet<int> eventWaits) : IDisposable
{
    private const int MaxRounds = 1000;
    private readonly Dictionary<int, Tracee> _tasks = [];
    private readonly Dictionary<int, List<Tracee>> _byProcess = [];
    private readonly Dictionary<int, (int Process, int Tracer)> _traced = [];
    private readonly HashSet<int> _parents = [];
    private bool _released;

    /// <summary>The frozen tasks of each process, leader first.</summary>
    public IReadOnlyDictionary<int, List<Tracee>> ByProcess => _byProcess;

    /// <summary>In the order in which they can be killed: traced ones first, as the end of a tracer lets them go on.</summary>
    public IReadOnlyList<int> Processes => [.. _traced.Values.Select(task => task.Process).Concat(_byProcess.Keys).Distinct()];

    public int TaskCount => _tasks.Count + _traced.Count;

    /// <summary>Tasks that a tracer of the tree holds: by id, their process and the thread that traces them. It is frozen, so they stay where they are.</summary>
    public IReadOnlyDictionary<int, (int Process, int Tracer)> Traced => _traced;

    /// <summary>The frozen task with this id.</summary>
    public Tracee? Task(int tid) => _tasks.GetValueOrDefault(tid);

    /// <summary>
    /// Freezes the process and all its descendants. Rounds go on until one finds nothing new: a stopped task makes no children, so what a
    /// round does not see after all known tasks have stopped does not exist.
    /// </summary>
    /// <param name="but">Processes that go on for now: a later call without them stops them too.</param>
    public void Freeze(int root, IReadOnlySet<int>? but = null)
    {
        for (int round = 0; round < MaxRounds; round++)
        {
            if (Round(root, but)) continue;
            if (but is not null) return;
            foreach ((int tid, (int process, int tracer)) in _traced)
                if (!_tasks.ContainsKey(tracer) && ProcStat.ReadTask(process, tid) is not null) throw NotPermitted(new Tracee(tid, process));
            // A tracer that is on its way home must get there first: see Holds.
            if (!AnyOnItsWayHome && HaltTraced()) continue;
            foreach (List<Tracee> tasks in _byProcess.Values) tasks.Sort((a, b) => (a.Tid != a.Tgid, a.Tid).CompareTo((b.Tid != b.Tgid, b.Tid)));
            return;
        }
        throw new StasisFailure(FailureKind.Failed, $"process {root} makes children faster than they can be stopped; try again");
    }

    private bool Round(int root, IReadOnlySet<int>? but)
    {
        bool found = false;
        Queue<int> open = new(TreeSurvey.Tops(root));
        while (open.TryDequeue(out int pid))
        {
            if (Requester.Is(pid)) continue;
            bool goesOn = but is not null && but.Contains(pid);
            while (!goesOn && StopTasks(pid)) found = true;
            if (!goesOn && !_byProcess.ContainsKey(pid) && !_traced.ContainsKey(pid)) continue;
            foreach (int tid in ProcessSurvey.TidsOf(pid))
            {
                List<int> children = ProcessSurvey.ChildrenOf(pid, [tid]);
                if (children.Count > 0) _parents.Add(tid);
                foreach (int child in children) open.Enqueue(child);
            }
        }
        return found;
    }

    // Seizes all tasks of a process that are not stopped yet, interrupts them, then waits for all of them. True when there was one.
    // All are seized before one is stopped, and the main thread last: a signal that a process ignores waits for it while that thread is traced
    // (see IgnoredSignals), and must wake none that we do not hold yet, whose call it would end.
    private bool StopTasks(int pid)
    {
        List<Tracee> interrupted = [];
        Dictionary<Tracee, EventWait> waits = [];
        bool found = false;
        List<Tracee> seizedNow = [];
        foreach (int tid in ProcessSurvey.TidsOf(pid).OrderBy(tid => tid == pid))
        {
            if (_tasks.ContainsKey(tid) || _traced.ContainsKey(tid)) continue;
            if (ProcStat.ReadTask(pid, tid) is not { State: not ('Z' or 'X') }) continue;
            var tracee = new Tracee(tid, pid);
            SysResult seized = tracee.Seize(PtraceConstants.O_TRACESYSGOOD);
            if (seized.Errno == Errno.ESRCH) continue;
            if (seized.Errno == Errno.EPERM)
            {
                // A dying task gives EPERM too.
                if (ProcStat.ReadTask(pid, tid) is not { State: not ('Z' or 'X') }) continue;
                if (!TracedBySomebody(tracee)) throw NotPermitted(tracee);
                found = true;
                continue;
            }
            seized.OrThrow("ptrace(SEIZE)", tracee.Whose);
            _tasks[tid] = tracee;
            if (!_byProcess.TryGetValue(pid, out List<Tracee>? tasks)) _byProcess[pid] = tasks = [];
            tasks.Add(tracee);
            seizedNow.Add(tracee);
        }
        foreach (Tracee tracee in seizedNow)
        {
            try
            {
                if (eventWaits.Contains(tracee.Tid) && EventWait.Look(pid, tracee.Tid) is { } wait) waits[tracee] = wait;
                tracee.Interrupt();
                interrupted.Add(tracee);
            }
            catch (TargetGone) { Forget(tracee); }
        }
        AwaitVfork(interrupted);
        foreach (Tracee tracee in interrupted)
        {
            try
            {
                TakeStop(tracee);
                if (waits.TryGetValue(tracee, out EventWait? wait)) wait.Shorten(tracee);
                // Our own calls must not be judged by the program's filters. Where this is not permitted, the examination refuses programs that have any.
                tracee.SuspendSeccomp();
            }
            catch (TargetGone) { Forget(tracee); }
        }
        return found || interrupted.Count > 0;
    }

    private readonly Dictionary<int, (HaltedBy By, bool StopsAtSyscalls)> _halted = [];
    private readonly Dictionary<int, bool> _hadNews = [];

    /// <summary>Traced tasks that ran, how they were brought to a stop (one that their tracer has not been told of), and how they ran: our errands change that.</summary>
    public IReadOnlyDictionary<int, (HaltedBy By, bool StopsAtSyscalls)> Halted => _halted;

    /// <summary>Whether a SIGCHLD waited for a tracer's process before anything was halted.</summary>
    public bool HadNews(int tracer)
    {
        if (!_hadNews.TryGetValue(tracer, out bool had))
            _hadNews[tracer] = had = _tasks.TryGetValue(tracer, out Tracee? task) && ProcStatus.Read($"/proc/{task.Tgid}/task/{task.Tid}") is { } status
                && ((status.Hex("SigPnd") | status.Hex("ShdPnd")) & Signals.Bit(Signals.SIGCHLD)) != 0;
        return had;
    }

    /// <summary>
    /// Stops the traced tasks that run, on the tape of their tracer, which is frozen: it hears of the stop only if we die before we have let them
    /// go, and takes it then for one of those it is used to. True when there was one: it may have made children before it stopped.
    /// </summary>
    private bool HaltTraced()
    {
        List<(int Tid, int Process, int Tracer)> running = [.. _traced.Where(task => !_halted.ContainsKey(task.Key)).Select(task => (task.Key, task.Value.Process, task.Value.Tracer))
            .Where(task => ProcStat.ReadTask(task.Process, task.Key) is { State: 'R' or 'S' })];
        if (running.Count == 0 || TraceSight.Unavailable() is not null) return false;
        using (var hands = new TracerHands(this, new CodeFinder()))
        {
            foreach ((int tid, int process, int tracer) in running)
            {
                HadNews(tracer);
                if (TraceSight.Of(tid) is not { } sight) continue;
                _halted[tid] = (Halt(hands, tid, process, tracer, sight), sight.StopsAtSyscalls);
            }
            foreach ((int tid, int process, int tracer) in running)
            {
                AwaitStop(process, tid);
                if (_halted.TryGetValue(tid, out (HaltedBy By, bool) halted) && halted.By != HaltedBy.Nobody) hands.Settle(process, tid, tracer);
            }
            foreach (int tracer in running.Select(task => task.Tracer).Distinct()) hands.SweepNews(tracer);
        }
        return true;
    }

    private static HaltedBy Halt(TracerHands hands, int tid, int process, int tracer, TraceSight sight)
    {
        if (sight.Seized)
        {
            // Its tracer has asked for a stop itself, as for the first one of each new child (PTRACE_O_TRACEFORK); or it stands there meanwhile, which
            // looks as if we had asked. Looked at in this order: what stops is in state t before it is no longer to stop soon (kernel/signal.c, ptrace_stop).
            if (sight.StopsSoon || ProcStat.ReadTask(process, tid) is { State: 't' }) return HaltedBy.Nobody;
            hands.Interrupt(process, tid, tracer);
            return HaltedBy.Interrupt;
        }
        ProcStatus? status = ProcStatus.Read($"/proc/{process}/task/{tid}");
        if (status is null || ((status.Hex("SigPnd") | status.Hex("ShdPnd")) & Signals.Bit(Signals.SIGSTOP)) != 0) return HaltedBy.Nobody;
        return Signals.SendToThread(process, tid, Signals.SIGSTOP).Failed ? HaltedBy.Nobody : HaltedBy.Signal;
    }

    // One that does not stop is in a call that can't be interrupted, and refused by the examination.
    private static void AwaitStop(int process, int tid)
    {
        long deadline = Environment.TickCount64 + 1000;
        for (int round = 0; ProcStat.ReadTask(process, tid) is { State: not ('t' or 'Z' or 'X') } && Environment.TickCount64 < deadline; round++) Pause.Round(round);
    }

    // Before their tracers go on.
    private void LetTracedGo()
    {
        if (!_halted.Any(task => task.Value.By != HaltedBy.Nobody)) return;
        try
        {
            using var hands = new TracerHands(this, new CodeFinder());
            hands.LetGo();
        }
        catch (Exception error) when (error is TargetGone or TargetUnruly or KernelRefusal) { } // their tracer hears of the stops, which it can bear
    }

    private static StasisFailure NotPermitted(Tracee tracee) =>
        new(FailureKind.NotPermitted, $"{tracee.Whose} can't be frozen: ptrace is not permitted (another tracer, or missing rights)");

    private bool TracedBySomebody(Tracee tracee)
    {
        if (ProcStatus.Read($"/proc/{tracee.Tgid}/task/{tracee.Tid}")?.Number("TracerPid") is not (> 0 and var tracer)) return false;
        _traced[tracee.Tid] = (tracee.Tgid, (int)tracer);
        return true;
    }

    // A task in a page fault that a userfaultfd's handler must answer, which we may have stopped already, is waited for in the same way.
    // A task inside vfork can't be stopped before its child has gone on, which is nearly always at once. When it is not, everything else is
    // let go meanwhile; the task itself stops when it comes out, and is held from then on. The rounds go on until all are.
    private void AwaitVfork(List<Tracee> interrupted)
    {
        foreach (Tracee tracee in interrupted)
        {
            if (tracee.StopsWithin(s_quick)) continue;
            bool inFault = !VforkWait.Is(tracee.Tgid, tracee.Tid);
            if (inFault && !WatchedMemory.MayHoldUp(tracee.Tgid)) continue;
            foreach (Tracee other in interrupted)
            {
                if (other == tracee || !other.StopsWithin(s_quick)) continue;
                try { TakeStop(other); }
                catch (TargetGone) { }
            }
            foreach (Tracee other in _tasks.Values.Where(other => other != tracee).Reverse().ToList())
            {
                LetGo(other);
                Forget(other);
            }
            interrupted.Clear();
            interrupted.Add(tracee);
            if (tracee.StopsWithin(VforkWait.Patience)) return;
            throw new StillInVfork(tracee.Tgid, tracee.Tid, inFault);
        }
    }

    // No signal on its way is lost, and a call that the stop interrupted goes on whatever becomes of us.
    private static void TakeStop(Tracee tracee)
    {
        tracee.WaitForInterrupt();
        LiveMachine.UndoStrayInterrupt(tracee);
        ForbiddenRestart.Spare(tracee);
    }

    private static readonly TimeSpan s_quick = TimeSpan.FromMilliseconds(200);

    private void Forget(Tracee tracee)
    {
        _tasks.Remove(tracee.Tid);
        if (!_byProcess.TryGetValue(tracee.Tgid, out List<Tracee>? tasks)) return;
        tasks.Remove(tracee);
        if (tasks.Count == 0) _byProcess.Remove(tracee.Tgid);
    }

    private bool AnyOnItsWayHome => _tasks.Values.Any(task => LiveMachine.IsOnItsWayHome(task.Registers));

    /// <summary>Whether everything that lives in the tree is held: what was just ending when it was seized is neither held nor gone yet.</summary>
    public bool Holds(TreeSurvey tree)
    {
        // A task that still lingers in the arena of a killed run goes home as soon as it is let go; its arena must not be unmapped before.
        if (AnyOnItsWayHome) return false;
        foreach (ProcessSurvey process in tree.Processes.Where(process => !process.Zombie))
        {
            if (!_byProcess.ContainsKey(process.Pid) && !_traced.ContainsKey(process.Pid)) return false;
            foreach (int tid in process.Tids)
                if (!(tid == process.Pid && process.LeaderEnded) && !_tasks.ContainsKey(tid) && !_traced.ContainsKey(tid) && ProcStat.ReadTask(process.Pid, tid) is not null) return false;
        }
        return true;
    }

    /// <summary>
    /// Lets every task go on, children before their parents as the kernel does when we die: a parent that attaches to a child at once must
    /// not find that it still has us as a tracer. They were stopped in the opposite order for the same reason. Of one process first those threads to
    /// which signals are sent: as long as they are traced, one that the process ignores wakes the others.
    /// </summary>
    public void Release()
    {
        if (_released) return;
        _released = true;
        LetTracedGo();
        foreach (int process in _tasks.Values.Select(tracee => tracee.Tgid).Distinct().Reverse())
            foreach (Tracee tracee in _byProcess[process].OrderBy(tracee => tracee.Tid != process).ThenBy(tracee => !_parents.Contains(tracee.Tid))) LetGo(tracee);
    }

    private static void LetGo(Tracee tracee)
    {
        if (tracee.SwallowedStopSignal != 0) Signals.SendToThread(tracee.Tgid, tracee.Tid, tracee.SwallowedStopSignal);
        tracee.Detach();
    }

    /// <summary>Ends every process of the tree, root last, so that no parent sees a child of its own die first and no shell starts the next command.</summary>
    public void Kill()
    {
        InvariantBroken.Require(!_released, "only a frozen tree may be killed");
        foreach (int pid in Processes) Signals.Send(pid, Signals.SIGKILL);
        _released = true;
        // A leader's end is told only after its threads' are taken.
        foreach (Tracee tracee in _tasks.Values.OrderBy(tracee => tracee.Tid == tracee.Tgid)) Wait.For(tracee.Tid, TimeSpan.FromSeconds(5));
        // Those that are not ours to wait for: a restart needs their ids, and may come at once.
        foreach ((int tid, (int process, _)) in _traced) AwaitEnd(process, tid);
    }

    private static void AwaitEnd(int process, int tid)
    {
        long deadline = Environment.TickCount64 + 5000;
        for (int round = 0; ProcStat.ReadTask(process, tid) is { State: not ('Z' or 'X') } && Environment.TickCount64 < deadline; round++) Pause.Round(round);
    }

    public void Dispose() => Release();
}

/// <summary>A task was inside vfork, or in a fault of watched memory, and did not come out of it; nothing is frozen any more.</summary>
internal sealed class StillInVfork(int pid, int tid, bool inFault) : Exception($"thread {tid} of process {pid} {(inFault ? WatchedMemory.Why : VforkWait.Why)}")
{
    public bool InFault { get; } = inFault;
    public int Pid { get; } = pid;
    public int Tid { get; } = tid;
}
