using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Processes;

/// <summary>
/// This stasis, where a program of the tree has started it to have itself checkpointed (`stasis checkpoint $$` in a script). It can't freeze
/// itself, and a copy of it would be of no use: in the image it is a process that has ended with <see cref="RestartedStatus"/> and was not
/// waited for. So its parent learns in which life it is as it learns anything of a command: by its end.
/// </summary>
public static class Requester
{
    /// <summary>The exit code of the command in each life that a restart begins.</summary>
    public const int RestartedStatus = 10;

    public static bool Is(int pid) => pid == Environment.ProcessId;

    /// <summary>Whether this stasis is one of those that a checkpoint of a process takes along.</summary>
    public static bool IsBelow(int root)
    {
        List<int> tops = TreeSurvey.Tops(root);
        for (int pid = Environment.ProcessId; pid > 0; pid = ProcStat.Read(pid)?.ParentPid ?? 0)
            if (tops.Contains(pid)) return true;
        return false;
    }

    /// <summary>
    /// Of two in one tree each could stop the other, so the younger waits for the older, before it does anything: until then it is a program
    /// like others, which the other takes along. It gives up after a while; then the examination refuses.
    /// </summary>
    public static void AwaitOlder(int root)
    {
        const int LookMicroseconds = 10_000;
        if (ProcStat.Read(Environment.ProcessId) is not { } own) return;
        for (long end = Environment.TickCount64 + (long)s_patience.TotalMilliseconds; Environment.TickCount64 < end && IsOlderBelow(root, AgeOf(own));) Pause.Microseconds(LookMicroseconds);
    }

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private static bool IsOlderBelow(int root, (ulong, int) own)
    {
        Queue<int> open = new(TreeSurvey.Tops(root));
        while (open.TryDequeue(out int pid))
        {
            if (Is(pid)) continue;
            if (TakesCheckpoint(pid) && ProcStat.Read(pid) is { State: not ('Z' or 'X') } stat && AgeOf(stat).CompareTo(own) < 0) return true;
            foreach (int child in ProcessSurvey.ChildrenOf(pid, ProcessSurvey.TidsOf(pid))) open.Enqueue(child);
        }
        return false;
    }

    public static ProcStat Ended(ProcStat stat) => stat with { State = 'Z', ExitCode = RestartedStatus << 8 };

    /// <summary>The signals that wait for the parent when it finds the command ended: SIGCHLD among them (siginfo_t, man 2 sigaction).</summary>
    public static byte[][] WithNews(byte[][] waiting, ProcessRecord command, uint uid)
    {
        const int CLD_EXITED = 1;
        if (command.ExitSignal != Signals.SIGCHLD || waiting.Any(signal => BitConverter.ToInt32(signal) == Signals.SIGCHLD)) return waiting;
        byte[] news = new byte[128];
        BitConverter.TryWriteBytes(news, Signals.SIGCHLD);
        BitConverter.TryWriteBytes(news.AsSpan(8), CLD_EXITED);
        BitConverter.TryWriteBytes(news.AsSpan(16), command.Pid);
        BitConverter.TryWriteBytes(news.AsSpan(20), uid);
        BitConverter.TryWriteBytes(news.AsSpan(24), RestartedStatus);
        return [.. waiting, news];
    }

    /// <summary>What can't be had: a stasis that its own target holds by ptrace would stand still with it; for another one see <see cref="AwaitOlder"/>.</summary>
    public static void Examine(TreeSurvey tree, ProblemList problems)
    {
        (ulong, int)? own = tree.Processes.FirstOrDefault(process => Is(process.Pid)) is { } requester ? AgeOf(requester.Stat) : null;
        foreach (ProcessSurvey process in tree.Processes)
        {
            if (Is(process.Pid))
            {
                if (process.Status.Number("TracerPid") is var tracer && tracer != 0 && tree.Processes.Any(one => one.Tids.Contains((int)tracer)))
                    problems.Add(process.Pid, process.Command, "", $"process {tracer}, which is to be frozen, traces this stasis and would leave it standing still", "let the debugger not follow the command (strace without -f)");
            }
            else if (!process.Zombie && TakesCheckpoint(process.Pid) && (own is null || AgeOf(process.Stat).CompareTo(own.Value) < 0))
            {
                problems.AddPassing(process.Pid, process.Command, "", "it is a stasis that takes a checkpoint itself", "try again when it has ended");
            }
        }
    }

    private static (ulong StartTime, int Pid) AgeOf(ProcStat stat) => (stat.StartTimeTicks, stat.Pid);

    // `stasis run` and a restart in the foreground are programs like others.
    private static bool TakesCheckpoint(int pid) => Files.ReadLink($"/proc/{pid}/exe").Target == Files.ReadLink("/proc/self/exe").Target
        && Files.ReadText($"/proc/{pid}/cmdline").Text.Split('\0').Contains("checkpoint");
}
