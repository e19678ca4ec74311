using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Seccomp;

namespace Stasis.State.Processes;

/// <summary>
/// Which debuggers and their programs can be carried. A task has one tracer only, so what we must know of a traced one its tracer asks for us;
/// for that it must be in the tree, and be free to.
/// </summary>
public static class TraceExamination
{
    private const string EndTheSession = "end the debugger or strace session first";

    /// <param name="other">The thread that traces the task.</param>
    /// <param name="us">Our own pid when the tree is frozen by us, else 0.</param>
    public static void Task(ProcessSurvey process, int tid, int other, TreeSurvey tree, ProblemList problems, int us)
    {
        string what = tid == process.Pid ? "" : $"thread {tid}";
        void Refuse(string why, string advice) => problems.Add(process.Pid, process.Command, what, why, advice);
        if (tree.Processes.FirstOrDefault(candidate => candidate.Tids.Contains(other)) is not { } owner)
        {
            Refuse($"it is being traced by process {other}, and a task has one tracer only", EndTheSession);
            return;
        }
        string tracer = $"{owner.Command} (process {owner.Pid})";
        if (TracerOf(owner.Pid, other) is var above && above != 0 && above != us) Refuse($"{tracer} traces it and is itself being traced, which is not carried yet", EndTheSession);
        if (owner.Stat.State == 'T') Refuse($"{tracer} traces it and is stopped by job control, which is not carried yet", "let it go on first (fg)");
        if (process.Tids.Any(thread => TracerOf(process.Pid, thread) is var one && (one == 0 || one == us))) Refuse($"{tracer} traces only some of its threads, which is not carried yet", EndTheSession);
        if (process.LeaderEnded) Refuse($"{tracer} traces it and its main thread has ended, which is not carried together yet", EndTheSession);
        if (TraceSight.Unavailable() is { } unavailable)
        {
            Refuse($"{tracer} traces it, and with which options the kernel does not tell this stasis: {unavailable}", EndTheSession);
            return;
        }
        if (TraceSight.Of(tid) is not { } sight || ProcStat.ReadTask(process.Pid, tid) is not { } stat) return; // it ended meanwhile
        if ((sight.Options & ~TraceState.AllOptions) != 0 || sight.Emulates) Refuse($"{tracer} traces it in a way that is not carried yet", EndTheSession);
        if (stat.State != 't' && us != 0) problems.AddPassing(process.Pid, process.Command, what, $"{tracer} traces it, and it can't be stopped just now", "try again in a moment");
        else if (stat.State != 't' && sight is { Seized: false, StopsAtSyscalls: true }) Refuse($"{tracer} traces its system calls, attached in the old way (PTRACE_ATTACH), and lets it run, which is not carried yet", "stop it in the debugger first (^C)");
        else if (stat.State != 't') return; // stopped at the freeze
        else if (TraceState.Classify(sight) is (null, var why)) problems.AddPassing(process.Pid, process.Command, what, $"{why} (by {tracer})", "try again in a moment");
    }

    /// <summary>
    /// Why a traced task with seccomp filters can't be carried; null when it can. It runs for us with its filters set aside, which its tracer must be
    /// permitted, or they must let through what that takes.
    /// </summary>
    public static (string Why, string Advice)? Confined(int tid, int tracer)
    {
        if (ProcStatus.Read($"/proc/{tracer}") is not { } status || MaySetAside(status)) return null;
        string confined = $"it is traced and confined by seccomp, which its tracer (thread {tracer}) may not set aside";
        const string Advice = "start the debugger as root and outside of the sandbox, or end the session first";
        if (KernelSight.Unavailable() is { } why) return ($"{confined}, and its filters can't be looked at: {why}", Advice);
        if (ProcStatus.Read($"/proc/{tid}") is { } own && own.Number("Seccomp") != SeccompRecord.Filter) return (confined, Advice);
        try { return FilterJudge.Of(tid).Forbidden() is { } forbidden ? ($"{confined}, and its filters do not let it make calls that stasis needs ({forbidden})", Advice) : null; }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.ESRCH) { return null; }
        catch (KernelRefusal refusal) { return ($"{confined}, and its filters can't be looked at: {refusal.Message}", Advice); }
    }

    public static bool MaySetAside(ProcStatus tracer) => MaySetAside(tracer.Hex("CapEff"), tracer.Number("Seccomp"));

    /// <summary>Whether a tracer may set seccomp of its tracees aside (man 2 ptrace, PTRACE_O_SUSPEND_SECCOMP).</summary>
    public static bool MaySetAside(ulong effectiveCapabilities, long ownSeccomp)
    {
        const int CAP_SYS_ADMIN = 21;
        return (effectiveCapabilities >> CAP_SYS_ADMIN & 1) != 0 && ownSeccomp == 0;
    }

    private static int TracerOf(int pid, int tid) => (int)(ProcStatus.Read($"/proc/{pid}/task/{tid}")?.Number("TracerPid") ?? 0);

    /// <summary>The end of a traced task is told to its tracer first, and only then to its parent.</summary>
    public static void Zombies(TreeSurvey tree, ProblemList problems)
    {
        foreach (ProcessSurvey zombie in tree.Processes.Where(process => process.Zombie))
            if (zombie.Status.Number("TracerPid") is var tracer && tracer != 0
                && tree.Processes.FirstOrDefault(process => process.Pid == zombie.Stat.ParentPid) is { } parent && !parent.Tids.Contains((int)tracer))
                problems.AddPassing(zombie.Pid, zombie.Command, "", $"it has ended, and process {tracer}, which traces it, has not taken the news of it yet", "try again in a moment");
    }

    /// <summary>Each of them would have to be stopped by its own tracer while the other's calls run in their memory.</summary>
    public static void SharedMemory(TreeSurvey tree, TreeSharing sharing, ProblemList problems)
    {
        foreach ((int pid, int owner) in sharing.Sharers(Kcmp.Kind.Vm))
            foreach (ProcessSurvey process in tree.Processes.Where(process => process.Pid == pid || process.Pid == owner))
                if (process.Status.Number("TracerPid") is var tracer && tracer != 0 && tree.Processes.Any(one => one.Tids.Contains(tracer)))
                    problems.AddPassing(process.Pid, process.Command, "", $"it is traced by process {tracer} and shares its memory with process {(process.Pid == pid ? owner : pid)}, which together are not carried yet", "try again in a moment, or end the debugger or strace session first");
    }

    /// <summary>A process outside the tree that a process of the tree traces would be let go.</summary>
    /// <param name="first">The look before the freeze: whom it saw outside, traced by nobody in here, is not looked at again; that would take long. Those are left
    /// that have come since, and the traced ones whose parents have ended, which are outside from then on.</param>
    public static void Outside(TreeSurvey tree, TreeSurvey? first, ProblemList problems)
    {
        Dictionary<int, ProcessSurvey> owners = [];
        foreach (ProcessSurvey process in tree.Processes) foreach (int tid in process.Tids) owners[tid] = process;
        HashSet<int> inside = [.. tree.Processes.Select(process => process.Pid)];
        foreach (string name in Files.List("/proc").Names)
        {
            if (!int.TryParse(name, out int pid) || inside.Contains(pid) || first is not null && first.Others.Contains(pid) || ProcStatus.Read($"/proc/{pid}") is not { } status) continue;
            if (inside.Contains((int)status.Number("PPid"))) continue; // born since
            if (status.Number("TracerPid") is var tracer && tracer != 0 && owners.TryGetValue((int)tracer, out ProcessSurvey? owner))
                problems.AddPassing(owner.Pid, owner.Command, "", $"it traces process {pid} ({status.Text("Name")}), which is not among its descendants", "checkpoint a common ancestor of both, or end the session first");
            else
                tree.Others.Add(pid);
        }
    }
}
