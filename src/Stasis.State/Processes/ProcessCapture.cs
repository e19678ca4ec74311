using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Descriptors;
using Stasis.State.Memory;
using Stasis.State.Seccomp;
using Stasis.State.SystemV;
using Stasis.State.Threads;

namespace Stasis.State.Processes;

/// <summary>Reads one frozen process whole, but for its descriptors and the content of its memory.</summary>
public sealed class ProcessCapture
{
    private const int PR_GET_DUMPABLE = 3, PR_GET_CHILD_SUBREAPER = 37, PR_GET_THP_DISABLE = 42, PR_GET_MDWE = 66, PR_GET_MEMORY_MERGE = 68, PR_TIMER_CREATE_RESTORE_IDS = 77,
        MEMBARRIER_GET_REGISTRATIONS = 512, ARCH_GET_XCOMP_PERM = 0x1022, XFEATURE_XTILEDATA = 18;
    private readonly ProcessSurvey _survey;
    private readonly IReadOnlyList<HeldTask> _tasks;
    private readonly Func<int, int> _insideId;
    private readonly List<(int Signal, TapeData Action)> _actions = [];
    private readonly List<(int Which, TapeData Value)> _intervals = [];
    private readonly List<(TimerLine Line, TapeData Value, TapeCall Overrun)> _timers = [];
    private readonly List<(int Child, TapeData Information)> _stops = [];
    private int _locksFuture;
    private UndoRecord[] _undo = [];
    private TapeData? _subreaper;
    private TapeCall? _brk, _membarrier, _thp, _dumpable, _denial, _merge, _timerIds, _futexHash, _features;
    private TapeData? _permitted;
    private TapeCall[] _keys = [];

    public ProcessCapture(ProcessSurvey survey, IReadOnlyList<HeldTask> tasks, Func<int, int> insideId) => (_survey, _tasks, _insideId) = (survey, tasks, insideId);

    /// <summary>The pid of a process of ours with the ids of these credentials.</summary>
    public required Func<CredentialsRecord, int> PeerFor { get; init; }

    /// <summary>Where the tree's seccomp filters are collected.</summary>
    public required SeccompCapture Seccomp { get; init; }

    /// <summary>Children (ids inside) in a job-control stop, to ask whether this parent has waited for it already.</summary>
    public IReadOnlyList<int> StoppedChildren { get; init; } = [];

    /// <summary>Sets of semaphores on which it may have something to undo at its end.</summary>
    public IReadOnlyList<SemaphoreSight> Semaphores { get; init; } = [];

    /// <summary>Where the NUMA policies of its mappings are collected; null for one that shares its memory with an earlier process.</summary>
    public MappingPolicies? Policies { get; init; }

    /// <summary>After <see cref="Take"/>: those of the stopped children whose stop has been waited for.</summary>
    public IEnumerable<int> ReportedStops => _stops.Where(stop => stop.Information.Read<int>(16) == 0).Select(stop => stop.Child);

    /// <summary>After <see cref="Take"/>: arenas that killed runs had left in the process were removed, so its mappings must be read again.</summary>
    public bool RemovedForgotten { get; private set; }

    /// <summary>After <see cref="Take"/>: what a restart will not bring back.</summary>
    public IReadOnlyList<Loss> Losses => _losses;
    private readonly List<Loss> _losses = [];

    /// <summary>The record without mappings' pages, descriptors and objects, which other stages add.</summary>
    public ProcessRecord Take(CodeFinder finder)
    {
        List<ThreadCapture> threads = [.. _tasks.Select(task => new ThreadCapture(task, _insideId))];
        List<(HeldTask, Tape)> work = [];
        List<Tape> more = [];
        for (int i = 0; i < _tasks.Count; i++)
        {
            var tape = new Tape();
            threads[i].Ask(tape, _survey.FaceStatus.Numbers("Uid") is { Length: > 0 } uids ? uids[0] : 0);
            if (i == 0) Ask(tape, more);
            work.Add((_tasks[i], tape));
        }
        using (TapeMachine machine = Board(finder))
        {
            machine.Run(work);
            foreach (Tape tape in more) machine.Run(_tasks[0], tape);
            _locksFuture = LocksFuture(machine);
            Policies?.Ask(machine, _tasks[0], _survey);
            if (Semaphores.Count > 0) _undo = UndoProbe.Run(machine, _tasks[0], _survey.Command, Semaphores);
            RemovedForgotten = machine.RemovedForgotten;
            ProcessRecord record = TimerOverruns.Counted(_survey.Face, Answer(threads));
            if (_survey.ThirtyTwoBit) record = record with { ThirtyTwoBit = true, Threads = [.. record.Threads.Select(thread => WithCompatList(thread, (LiveMachine)machine))] };
            for (int i = 0; i < threads.Count; i++) Refuse(i, threads[i].Judge(record.Threads[i]));
            // Threads mostly share theirs.
            foreach ((string what, string how) in threads.Select(thread => thread.Lost).OfType<(string, string)>().Distinct()) _losses.Add(new Loss(_survey.Pid, _survey.Command, what, how));
            AskPeers(machine, record);
            return record;
        }
    }

    private static ThreadRecord WithCompatList(ThreadRecord thread, LiveMachine machine)
    {
        (ulong head, ulong length) = machine.CompatRobustList(thread.Tid);
        return thread with { CompatRobustList = head, CompatRobustListLength = head == 0 ? 0 : length };
    }

    private void Refuse(int task, (string Why, string Advice)? found)
    {
        if (found is not { } problem) return;
        string what = _tasks[task].Tid == _survey.Pid ? "" : $"thread {_tasks[task].Tid}";
        throw new CaptureRefused(new Problem(_survey.Pid, _survey.Command, what, problem.Why, problem.Advice));
    }

    // Where our processes have no id (a pid namespace of the tree's own) there is nobody to ask about.
    private void AskPeers(TapeMachine machine, ProcessRecord record)
    {
        if (_survey.NamespaceDepth > 1) return;
        List<(HeldTask Task, Tape Tape)> work = [];
        List<(int Task, TapeCall Asked)> questions = [];
        for (int i = 0; i < _tasks.Count; i++)
        {
            if (!TaskProbes.NeedsPeer(record.Threads[i].Credentials)) continue;
            var tape = new Tape();
            questions.Add((i, TaskProbes.AskPeer(tape, PeerFor(record.Threads[i].Credentials))));
            work.Add((_tasks[i], tape));
        }
        machine.Run(work);
        foreach ((int task, TapeCall asked) in questions) Refuse(task, TaskProbes.JudgePeer(asked));
    }

    private TapeMachine Board(CodeFinder finder) => _tasks[0] is TracedTask traced
        ? TracedMachine.Board(traced, _survey.Mappings, finder)
        : LiveMachine.Board((Tracee)_tasks[0], _survey.Mappings, finder, _tasks.Count, _survey.ThirtyTwoBit);

    // mlockall(MCL_FUTURE) shows in nothing but what is mapped after it: our arena.
    private int LocksFuture(TapeMachine machine)
    {
        if (_survey.FaceStatus.Number("VmLck") == ProcStatus.Read($"/proc/{_survey.Face}")?.Number("VmLck")) return 0;
        ProcMapping? arena = ProcMaps.Read(_survey.Face).Mappings.FirstOrDefault(mapping => mapping.Start <= machine.ArenaAddress && machine.ArenaAddress < mapping.End);
        return arena is null || !arena.Has("lo") ? 0 : arena.Has("lf") ? 2 : 1;
    }

    // What there may be many of (timers, stopped children) goes on tapes of its own, as many as it takes.
    private void Ask(Tape first, List<Tape> more)
    {
        const int QuestionsPerTape = 100;
        int questions = 0;
        Tape Next()
        {
            if (questions++ % QuestionsPerTape == 0) more.Add(new Tape());
            return more[^1];
        }
        const int P_PID = 1, WNOHANG = 1, WSTOPPED = 2, WNOWAIT = 0x1000000;
        foreach (int child in StoppedChildren)
        {
            Tape tape = Next();
            TapeData information = tape.Reserve(128); // siginfo_t: si_pid at 16, zero when there is nothing to wait for
            tape.Try("waitid", Syscall.waitid, P_PID, child, information, WSTOPPED | WNOHANG | WNOWAIT, 0);
            _stops.Add((child, information));
        }
        foreach (TimerLine line in TimerLine.Read(_survey.Pid))
        {
            Tape tape = Next();
            TapeData value = tape.Reserve(32);
            tape.Call($"timer_gettime of timer {line.Id}", Syscall.timer_gettime, line.Id, value);
            _timers.Add((line, value, tape.Call("timer_getoverrun", Syscall.timer_getoverrun, line.Id)));
        }
        AskOnce(first);
    }

    private void AskOnce(Tape tape)
    {
        for (int signal = 1; signal <= Signals.Count; signal++)
        {
            if (signal is Signals.SIGKILL or Signals.SIGSTOP) continue;
            TapeData action = tape.Reserve(32);
            tape.Call($"rt_sigaction of {Signals.Name(signal)}", Syscall.rt_sigaction, signal, 0, action, 8);
            _actions.Add((signal, action));
        }
        for (int which = 0; which < 3; which++)
        {
            TapeData value = tape.Reserve(32);
            tape.Call("getitimer", Syscall.getitimer, which, value);
            _intervals.Add((which, value));
        }
        _brk = tape.Call("brk", Syscall.brk, 0);
        _subreaper = tape.Reserve(8);
        tape.Call("prctl(PR_GET_CHILD_SUBREAPER)", Syscall.prctl, PR_GET_CHILD_SUBREAPER, _subreaper);
        _dumpable = tape.Call("prctl(PR_GET_DUMPABLE)", Syscall.prctl, PR_GET_DUMPABLE);
        _thp = tape.Try("prctl(PR_GET_THP_DISABLE)", Syscall.prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);
        _denial = tape.Try("prctl(PR_GET_MDWE)", Syscall.prctl, PR_GET_MDWE, 0, 0, 0, 0);
        _merge = tape.Try("prctl(PR_GET_MEMORY_MERGE)", Syscall.prctl, PR_GET_MEMORY_MERGE, 0, 0, 0, 0);
        _timerIds = tape.Try("prctl(PR_TIMER_CREATE_RESTORE_IDS)", Syscall.prctl, PR_TIMER_CREATE_RESTORE_IDS, 2, 0, 0, 0);
        _futexHash = FutexHash.Ask(tape);
        _keys = ProtectionKeys.Ask(tape);
        _permitted = tape.Reserve(8);
        _features = tape.Try("arch_prctl(ARCH_GET_XCOMP_PERM)", Syscall.arch_prctl, ARCH_GET_XCOMP_PERM, _permitted);
        _membarrier = tape.Try("membarrier(GET_REGISTRATIONS)", Syscall.membarrier, MEMBARRIER_GET_REGISTRATIONS, 0, 0);
    }

    private ProcessRecord Answer(List<ThreadCapture> threads)
    {
        int pid = _survey.Pid;
        ProcStat stat = _survey.FaceStat;
        PlacesRecord places = Places($"/proc/{_survey.Face}", _survey.FaceStatus);
        return Skeleton(_survey, _insideId) with
        {
            StopSignal = _tasks[0].GroupStopSignal,
            LeaderStatus = _survey.LeaderEnded ? _survey.Stat.ExitCode : null,
            Threads = [.. threads.Select((thread, i) => Parted(thread.Take(Seccomp), _tasks[i].Tid))],
            SharedPendingSignals = _tasks[0].ReadState().SharedSignals,
            SignalActions = [.. _actions.Select(a => new SignalActionRecord(a.Signal, a.Action.Read<ulong>(), a.Action.Read<ulong>(8), a.Action.Read<ulong>(16), a.Action.Read<ulong>(24)))
                .Where(a => a.Handler != 0 || a.Flags != 0 || a.Mask != 0)],
            SemaphoreUndo = _undo,
            IntervalTimers = [.. _intervals.Select(t => new IntervalTimerRecord(t.Which, Microseconds(t.Value, 0), Microseconds(t.Value, 16)))
                .Where(t => t.RemainingMicroseconds != 0 || t.IntervalMicroseconds != 0)
                // Run out, with its signal still waiting: it would start again when the signal is taken.
                .Select(t => t.RemainingMicroseconds != 0 ? t : t with { RemainingMicroseconds = t.IntervalMicroseconds })],
            PosixTimers = [.. _timers.Select(t => new PosixTimerRecord(t.Line.Id, t.Line.Clock, t.Line.Notify, t.Line.Signal, t.Line.Value,
                t.Line.Target == 0 ? 0 : _insideId(t.Line.Target), Nanoseconds(t.Value, 0), Nanoseconds(t.Value, 16), (int)t.Overrun.Result.Value))],
            Limits = Limits(pid),
            WorkingDirectory = places.WorkingDirectory,
            Root = places.Root,
            Umask = places.Umask,
            OomScoreAdjustment = Number($"/proc/{pid}/oom_score_adj"),
            Personality = Personality($"/proc/{_survey.Face}"),
            FutexHashSlots = FutexHash.Told(_futexHash!, _tasks.Count),
            ProtectionKeys = ProtectionKeys.Told(_keys),
            AmxPermitted = !_features!.Result.Failed && (_permitted!.Read<ulong>() >> XFEATURE_XTILEDATA & 1) != 0,
            Dumpable = (int)_dumpable!.Result.Value,
            ChildSubreaper = _subreaper!.Read<int>() != 0,
            TransparentHugePagesDisabled = Answered(_thp!),
            MemoryDenyWriteExecute = Answered(_denial!),
            MergesMemory = Answered(_merge!) == 1,
            ChoosesTimerIds = Answered(_timerIds!) == 1,
            AutogroupNice = stat.Session == pid ? Autogroup.Nice(pid) : 0,
            CoreDumpFilter = int.TryParse(Files.ReadText($"/proc/{_survey.Face}/coredump_filter").Text.Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out int filter) ? filter : 0x33,
            LocksFutureMemory = _locksFuture,
            MembarrierRegistrations = _membarrier!.Result.Failed ? 0 : (int)_membarrier.Result.Value,
            MemoryFields = new MemoryFields(stat.StartCode, stat.EndCode, stat.StartData, stat.EndData, stat.StartBrk, (ulong)_brk!.Result.Value, stat.StartStack,
                stat.ArgStart, stat.ArgEnd, stat.EnvStart, stat.EnvEnd, Files.ReadAll($"/proc/{_survey.Face}/auxv").Bytes),
        };
    }

    // A kernel that does not know the question has nothing to tell.
    private static int Answered(TapeCall call) => call.Result.Failed ? 0 : (int)call.Result.Value;

    /// <summary>What a zombie and a living process have in common.</summary>
    public static ProcessRecord Skeleton(ProcessSurvey survey, Func<int, int> insideId) => new()
    {
        Pid = survey.InsidePid,
        Parent = 0,
        Session = survey.InsideSession,
        Group = survey.InsideGroup,
        Comm = survey.Command,
        ExitSignal = survey.Stat.ExitSignal,
        ZombieStatus = survey.Zombie ? survey.Stat.ExitCode : null,
        Requester = Requester.Is(survey.Pid),
    };

    private static long Microseconds(TapeData value, int offset) => value.Read<long>(offset) * 1_000_000 + value.Read<long>(offset + 8);
    private static long Nanoseconds(TapeData value, int offset) => value.Read<long>(offset) * 1_000_000_000 + value.Read<long>(offset + 8);
    private static int Number(string path) => int.TryParse(Files.ReadText(path).Text.Trim(), CultureInfo.InvariantCulture, out int value) ? value : 0;

    private static PlacesRecord Places(string task, ProcStatus status) => new(Place($"{task}/cwd"), Place($"{task}/root"), status.Octal("Umask"));

    private uint? _personality;

    // What a thread has apart from its process.
    private ThreadRecord Parted(ThreadRecord thread, int tid)
    {
        _personality ??= Personality($"/proc/{_survey.Face}");
        uint own = tid == _survey.Face ? _personality.Value : Personality($"/proc/{_survey.Pid}/task/{tid}");
        return WithPlaces(own == _personality ? thread : thread with { OwnPersonality = own }, tid);
    }

    private static uint Personality(string task) => uint.TryParse(Files.ReadText($"{task}/personality").Text.Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out uint personality) ? personality : 0;

    private ThreadRecord WithPlaces(ThreadRecord thread, int tid)
    {
        int with = _survey.Partings.PlacesOf(tid);
        if (with == 0) return thread;
        if (with != tid) return thread with { SharesPlacesWith = _insideId(with) };
        string task = $"/proc/{_survey.Pid}/task/{tid}";
        return thread with { OwnPlaces = Places(task, ProcStatus.Read(task) ?? throw new TargetGone(tid)) };
    }

    private static PlaceRecord Place(string link)
    {
        (SysResult result, string path) = Files.ReadLink(link);
        result.OrThrow($"readlink of {link}");
        (SysResult statusResult, FileStatus status) = Files.Status(link);
        statusResult.OrThrow($"statx of {link}");
        const string Gone = " (deleted)";
        bool deleted = status.Links == 0 && path.EndsWith(Gone, StringComparison.Ordinal);
        return new PlaceRecord(deleted ? path[..^Gone.Length] : path, deleted);
    }

    private static readonly string[] s_limitNames =
    [
        "Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set", "Max processes", "Max open files",
        "Max locked memory", "Max address space", "Max file locks", "Max pending signals", "Max msgqueue size", "Max nice priority", "Max realtime priority", "Max realtime timeout",
    ];

    // /proc/PID/limits, as prlimit on a task of another uid takes CAP_SYS_RESOURCE, which may be missing.
    private static LimitRecord[] Limits(int pid)
    {
        List<LimitRecord> limits = [];
        foreach (string line in Files.ReadText($"/proc/{pid}/limits").Text.Split('\n'))
        {
            int resource = Array.FindIndex(s_limitNames, name => line.StartsWith(name + " ", StringComparison.Ordinal));
            if (resource < 0) continue;
            string[] fields = line[s_limitNames[resource].Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length >= 2) limits.Add(new LimitRecord(resource, Limit(fields[0]), Limit(fields[1])));
        }
        return [.. limits];
    }

    private static ulong Limit(string text) => text == "unlimited" ? ulong.MaxValue : ulong.Parse(text, CultureInfo.InvariantCulture);
}

/// <summary>A block of /proc/PID/timers (man 5 proc_pid_timers). Target is the thread as the reader sees it for SIGEV_THREAD_ID, else 0.</summary>
public sealed record TimerLine(int Id, int Clock, int Notify, int Signal, ulong Value, int Target)
{
    private const int SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD = 2, SIGEV_THREAD_ID = 4;

    public static List<TimerLine> Read(int pid) => Parse(Files.ReadText($"/proc/{pid}/timers").Text);

    public static List<TimerLine> Parse(string text)
    {
        List<TimerLine> timers = [];
        foreach (string line in text.Split('\n'))
        {
            int colon = line.IndexOf(':');
            if (colon < 0) continue;
            string name = line[..colon], value = line[(colon + 1)..].Trim();
            if (name == "ID" && int.TryParse(value, CultureInfo.InvariantCulture, out int id)) timers.Add(new TimerLine(id, 0, 0, 0, 0, 0));
            if (timers.Count == 0) continue;
            timers[^1] = name switch
            {
                "signal" => WithSignal(timers[^1], value),
                "notify" => WithNotify(timers[^1], value),
                "ClockID" when int.TryParse(value, CultureInfo.InvariantCulture, out int clock) => timers[^1] with { Clock = clock },
                _ => timers[^1],
            };
        }
        return timers;
    }

    // "signal: 60/00007fff86e452a8": number and sival_ptr
    private static TimerLine WithSignal(TimerLine timer, string value)
    {
        string[] parts = value.Split('/');
        return parts.Length == 2 && int.TryParse(parts[0], CultureInfo.InvariantCulture, out int signal) && ulong.TryParse(parts[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong pointer)
            ? timer with { Signal = signal, Value = pointer } : timer;
    }

    // "notify: signal/pid.2634", "notify: none/pid.2634", "notify: signal/tid.2635"
    private static TimerLine WithNotify(TimerLine timer, string value)
    {
        int slash = value.IndexOf('/'), dot = value.IndexOf('.');
        if (slash < 0 || dot < slash) return timer;
        int notify = value[..slash] switch { "none" => SIGEV_NONE, "thread" => SIGEV_THREAD, _ => SIGEV_SIGNAL };
        bool thread = value[(slash + 1)..dot] == "tid";
        _ = int.TryParse(value.AsSpan(dot + 1), CultureInfo.InvariantCulture, out int target);
        return timer with { Notify = notify | (thread ? SIGEV_THREAD_ID : 0), Target = thread ? target : 0 };
    }
}
