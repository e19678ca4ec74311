using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State.Descriptors.Directory;
using Stasis.State.Threads;

namespace Stasis.State.Processes;

/// <summary>Gives a blank process all that belongs to the process as a whole, but its memory and descriptors.</summary>
public static class ProcessRestore
{
    private const int PR_SET_DUMPABLE = 4, PR_SET_CHILD_SUBREAPER = 36, PR_SET_THP_DISABLE = 41, PR_SET_MDWE = 65, PR_SET_MEMORY_MERGE = 67, PR_TIMER_CREATE_RESTORE_IDS = 77,
        ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18;
    private const ulong CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_THREAD_FLAGS = 0x100 | 0x800 | 0x10000 | 0x40000; // VM, SIGHAND, THREAD, SYSVSEM
    private const ulong SIG_IGN = 1;
    private const int PR_SET_NAME = 15, MostRounds = 5000;

    /// <summary>The tasks of the process in the order of its threads, each with its id, in a stop: the leader, if it lives on, and those that it and they make.</summary>
    public static List<BlankTask> MakeThreads(BlankTask leader, ProcessRecord process, Action<Tape, string, ulong, int> addClone)
    {
        var tasks = new BlankTask[process.Threads.Length];
        if (process.LeaderStatus is null) tasks[0] = leader;
        ThreadBirth[] births = ThreadBirths.Plan(process) ?? throw new InvariantBroken($"the threads of process {process.Pid} can't be made, which the image's check should have refused");
        for (int first = 0, next; first < births.Length; first = next)
        {
            BlankTask maker = births[first].Maker < 0 ? leader : tasks[births[first].Maker];
            var batch = new TapeBatch(maker);
            for (next = first; next < births.Length && births[next].Maker == births[first].Maker; next++)
            {
                int id = process.Threads[births[next].Thread].Tid;
                addClone(batch.Tape, $"clone3 of thread {id}", CLONE_THREAD_FLAGS | (births[next].SharesTable ? CLONE_FILES : 0) | (births[next].SharesPlaces ? CLONE_FS : 0), id);
            }
            batch.Flush();
            for (int i = first; i < next; i++) tasks[births[i].Thread] = maker.TakeBorn(thread: true);
        }
        return [.. tasks];
    }

    /// <summary>
    /// Ends the main thread while its others stay. It is let go before: of the end of a process whose main thread was still traced, its
    /// parent would not be told.
    /// </summary>
    public static void EndLeader(BlankTask leader, ProcessRecord process)
    {
        var tape = new Tape();
        tape.Call("prctl(PR_SET_NAME)", Syscall.prctl, PR_SET_NAME, tape.Text(process.Comm));
        tape.Call("exit", Syscall.exit, process.LeaderStatus!.Value >> 8);
        leader.RunAndLetGo(tape, ulong.MaxValue);
        for (int round = 0; ProcStat.Read(leader.Tid)?.State != 'Z'; round++)
        {
            if (round > MostRounds) throw new TargetUnruly($"the main thread of process {process.Pid} does not end");
            Pause.Round(round);
        }
    }

    /// <summary>Where a task stands. For one that still has the host's root, as paths are the host's.</summary>
    public static void AddPlaces(Tape tape, PlacesRecord places)
    {
        if (places.Root.Path != "/") tape.Call($"chroot to {places.Root.Path}", Syscall.chroot, tape.Text(places.Root.Path));
        List<string> made = places.WorkingDirectory.Deleted ? RemovedDirectory.ToMake(places.WorkingDirectory.Path) : [];
        string directory = made.Count > 0 ? made[^1] : places.WorkingDirectory.Path;
        foreach (string removed in made) tape.Call($"mkdir of {removed}", Syscall.mkdir, tape.Text(Inside(places, removed)), RemovedDirectory.Mode);
        tape.Call($"chdir to {directory}", Syscall.chdir, tape.Text(Inside(places, directory)));
        foreach (string removed in Enumerable.Reverse(made)) tape.Call($"rmdir of {removed}", Syscall.rmdir, tape.Text(Inside(places, removed)));
        tape.Call("umask", Syscall.umask, places.Umask);
    }

    /// <summary>Every task has its own.</summary>
    public static void AddPersonality(Tape tape, ProcessRecord process, ThreadRecord thread)
    {
        uint wanted = thread.OwnPersonality ?? process.Personality;
        if (wanted != 0) tape.Call("personality", Syscall.personality, wanted);
    }

    private static string Inside(PlacesRecord places, string path)
    {
        string root = places.Root.Path;
        return root != "/" && path.StartsWith(root, StringComparison.Ordinal) ? path[root.Length..] is { Length: > 0 } rest ? rest : "/" : path;
    }

    /// <summary>Signal handlers, and what prctl sets for a process.</summary>
    public static void AddSettings(Tape tape, ProcessRecord process)
    {
        foreach (LimitRecord limit in process.Limits)
            tape.Call($"prlimit of resource {limit.Resource}", Syscall.prlimit64, 0, limit.Resource, tape.Data<ulong>(limit.Soft, limit.Hard), 0);
        // A child's end while the tree was made left a SIGCHLD: ignoring a signal takes the waiting ones away.
        tape.Call("rt_sigaction", Syscall.rt_sigaction, Signals.SIGCHLD, tape.Data<ulong>(SIG_IGN, 0, 0, 0), 0, 8);
        tape.Call("rt_sigaction", Syscall.rt_sigaction, Signals.SIGCHLD, tape.Data<ulong>(0, 0, 0, 0), 0, 8);
        foreach (SignalActionRecord action in process.SignalActions.Where(action => action.Signal != Signals.SIGTRAP && !process.ThirtyTwoBit))
            tape.Call($"rt_sigaction of {Signals.Name(action.Signal)}", Syscall.rt_sigaction, action.Signal, tape.Data<ulong>(action.Handler, action.Flags, action.Restorer, action.Mask), 0, 8);
        const int MCL_FUTURE = 2, MCL_ONFAULT = 4;
        if (process.LocksFutureMemory != 0) tape.Call("mlockall(MCL_FUTURE)", Syscall.mlockall, process.LocksFutureMemory == 2 ? MCL_FUTURE | MCL_ONFAULT : MCL_FUTURE);
        if (process.ChildSubreaper) tape.Call("prctl(PR_SET_CHILD_SUBREAPER)", Syscall.prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        if (process.TransparentHugePagesDisabled != 0) tape.Call("prctl(PR_SET_THP_DISABLE)", Syscall.prctl, PR_SET_THP_DISABLE, 1, process.TransparentHugePagesDisabled & ~1, 0, 0);
        if (process.MergesMemory) tape.Call("prctl(PR_SET_MEMORY_MERGE)", Syscall.prctl, PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
        if (process.MemoryDenyWriteExecute != 0) tape.Call("prctl(PR_SET_MDWE)", Syscall.prctl, PR_SET_MDWE, process.MemoryDenyWriteExecute, 0, 0, 0);
        FutexHash.Set(tape, process.FutexHashSlots);
        if (process.AmxPermitted) tape.Call("arch_prctl(ARCH_REQ_XCOMP_PERM)", Syscall.arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
        AddMembarrier(tape, process.MembarrierRegistrations);
    }

    // The REGISTER command of each mode is the bit next to its use (include/uapi/linux/membarrier.h).
    private static void AddMembarrier(Tape tape, int registrations)
    {
        foreach (int register in (ReadOnlySpan<int>)[1 << 2, 1 << 4, 1 << 6, 1 << 8])
            if ((registrations & register) != 0) tape.Call($"membarrier({register})", Syscall.membarrier, register, 0, 0);
    }

    /// <summary>
    /// What a 32-bit program has set through its own interface: the frames of its handlers are made the way their rt_sigaction came. By a
    /// call instruction of its own.
    /// </summary>
    public static void SetCompat(ProcessRecord process, IReadOnlyList<BlankTask> tasks, ulong callInstruction)
    {
        foreach (SignalActionRecord action in process.SignalActions.Where(action => action.Signal != Signals.SIGTRAP)) SetCompatAction(tasks[0], action, callInstruction);
        for (int i = 0; i < tasks.Count; i++)
            if (process.Threads[i].CompatRobustList != 0)
                tasks[i].CallCompat("set_robust_list", callInstruction, Compat.set_robust_list, [], -1, process.Threads[i].CompatRobustList, process.Threads[i].CompatRobustListLength);
    }

    private static void SetCompatAction(BlankTask leader, SignalActionRecord action, ulong callInstruction)
    {
        byte[] bytes = new byte[20]; // struct compat_sigaction: handler, flags, restorer, 4 bytes each, mask
        BitConverter.TryWriteBytes(bytes, (uint)action.Handler);
        BitConverter.TryWriteBytes(bytes.AsSpan(4), (uint)action.Flags);
        BitConverter.TryWriteBytes(bytes.AsSpan(8), (uint)action.Restorer);
        BitConverter.TryWriteBytes(bytes.AsSpan(12), action.Mask);
        leader.CallCompat($"rt_sigaction of {Signals.Name(action.Signal)}", callInstruction, Compat.rt_sigaction, bytes, 1, (ulong)action.Signal, 0, 0, 8);
    }

    /// <summary>The action of SIGTRAP, which ends our tapes; set by a call without one.</summary>
    public static void SetTrapAction(BlankTask leader, ProcessRecord process, ulong syscallInstruction)
    {
        if (process.SignalActions.FirstOrDefault(action => action.Signal == Signals.SIGTRAP) is not { } trap) return;
        if (process.ThirtyTwoBit)
        {
            SetCompatAction(leader, trap, syscallInstruction);
            return;
        }
        ulong[] action = [trap.Handler, trap.Flags, trap.Restorer, trap.Mask];
        leader.CallWithoutTrap("rt_sigaction of SIGTRAP", syscallInstruction, Syscall.rt_sigaction, System.Runtime.InteropServices.MemoryMarshal.AsBytes(action.AsSpan()), 1,
            (ulong)Signals.SIGTRAP, 0, 0, 8);
    }

    /// <summary>Timers, with their ids; the last thing before the process goes on, as they run from now.</summary>
    public static void AddTimers(TapeBatch batch, ProcessRecord process, ClockShift clock)
    {
        const int ITIMER_REAL = 0; // the others run on CPU time
        Tape tape = batch.Tape;
        foreach (IntervalTimerRecord timer in process.IntervalTimers)
        {
            long remaining = timer.Which == ITIMER_REAL ? (clock.Remaining(timer.RemainingMicroseconds * 1000) + 999) / 1000 : timer.RemainingMicroseconds;
            tape.Call("setitimer", Syscall.setitimer, timer.Which, tape.Data<long>(timer.IntervalMicroseconds / 1_000_000, timer.IntervalMicroseconds % 1_000_000,
                remaining / 1_000_000, remaining % 1_000_000), 0);
        }
        if (process.PosixTimers.Length == 0 && !process.ChoosesTimerIds) return;
        tape.Call("prctl(PR_TIMER_CREATE_RESTORE_IDS)", Syscall.prctl, PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0);
        foreach (PosixTimerRecord timer in process.PosixTimers)
        {
            tape = batch.Tape;
            // struct sigevent: sigev_value 8, sigev_signo 4, sigev_notify 4, tid 4
            TapeData sigevent = tape.Data<ulong>(timer.Value, (uint)timer.Signal | (ulong)(uint)timer.Notify << 32, (uint)timer.Target, 0, 0, 0, 0, 0);
            TapeData id = tape.Data<int>(timer.Id);
            tape.Call($"timer_create of timer {timer.Id}", Syscall.timer_create, timer.Clock, sigevent, id);
            long remaining = OnCpuTime(timer.Clock) ? timer.RemainingNanoseconds : clock.Remaining(timer.RemainingNanoseconds);
            if (remaining != 0)
                tape.Call($"timer_settime of timer {timer.Id}", Syscall.timer_settime, timer.Id, 0, tape.Data<long>(timer.IntervalNanoseconds / 1_000_000_000, timer.IntervalNanoseconds % 1_000_000_000,
                    remaining / 1_000_000_000, remaining % 1_000_000_000), 0);
        }
        if (!process.ChoosesTimerIds) tape.Call("prctl(PR_TIMER_CREATE_RESTORE_IDS)", Syscall.prctl, PR_TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0);
    }

    // CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, and the clocks of other tasks (man 3 clock_getcpuclockid).
    private static bool OnCpuTime(int clock) => clock is 2 or 3 or < 0;

    /// <summary>After the credentials, whose change resets it.</summary>
    public static void AddDumpable(Tape tape, ProcessRecord process)
    {
        if (process.Dumpable is 0 or 1) tape.Call("prctl(PR_SET_DUMPABLE)", Syscall.prctl, PR_SET_DUMPABLE, process.Dumpable, 0, 0, 0);
    }

    /// <summary>What is set through files of /proc from outside, while the process is still ours to write to.</summary>
    public static void SetByProc(ProcessRecord process, int pid)
    {
        if (int.TryParse(Files.ReadText($"/proc/{pid}/oom_score_adj").Text.Trim(), CultureInfo.InvariantCulture, out int current) && current != process.OomScoreAdjustment)
            Files.WriteText($"/proc/{pid}/oom_score_adj", process.OomScoreAdjustment.ToString(CultureInfo.InvariantCulture)).OrThrow($"write of oom_score_adj {process.OomScoreAdjustment}", $"process {pid}");
        if (process.AutogroupNice != 0) Autogroup.SetNice(pid, process.AutogroupNice);
        Files.WriteText($"/proc/{pid}/coredump_filter", $"0x{process.CoreDumpFilter:x}").OrThrow("write of coredump_filter", $"process {pid}");
    }
}
