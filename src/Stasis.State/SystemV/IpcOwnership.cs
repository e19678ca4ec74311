using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Processes;

namespace Stasis.State.SystemV;

/// <summary>Whether an object of System V IPC is the tree's.</summary>
public enum Belonging
{
    No,
    /// <summary>Made by a user of the tree since its root began, and used last by nobody who lives outside. A restart makes it where it is gone, and leaves it alone where it is there.</summary>
    Perhaps,
    /// <summary>A restart takes it back to the checkpoint.</summary>
    Yes,
}

/// <summary>
/// Objects of System V IPC have no owner process, and outlive all. In a namespace of the tree's own everything is the tree's; in one
/// that it shares, what its processes have attached, made, used last, wait for or will undo.
/// </summary>
public sealed class IpcOwnership
{
    private readonly HashSet<int> _pids;
    private readonly HashSet<uint> _uids;
    private readonly HashSet<(Syscall Call, int Id)> _waitedFor = [];
    private readonly bool _own;
    private readonly long _began;

    /// <param name="tasks">All tasks, frozen.</param>
    public IpcOwnership(TreeSurvey tree, IpcSurvey survey, IEnumerable<Tracee> tasks)
    {
        _own = survey.Own;
        _pids = [.. tree.Processes.Select(process => process.Pid)];
        _uids = [.. tree.Processes.SelectMany(process => process.Status.Numbers("Uid"))];
        _began = BootTime() + (long)(tree.Root.Stat.StartTimeTicks / TicksPerSecond) - 1;
        foreach (Tracee task in tasks)
        {
            UserRegisters registers = task.Registers;
            Syscall call = (Syscall)(int)registers.orig_rax;
            if (call is Syscall.semop or Syscall.semtimedop) _waitedFor.Add((Syscall.semop, (int)registers.rdi));
            if (call is Syscall.msgrcv or Syscall.msgsnd) _waitedFor.Add((Syscall.msgrcv, (int)registers.rdi));
        }
    }

    private const ulong TicksPerSecond = 100; // USER_HZ

    private static long BootTime()
    {
        string line = Files.ReadText("/proc/stat").Text.Split('\n').FirstOrDefault(l => l.StartsWith("btime ", StringComparison.Ordinal)) ?? "";
        return line.Length > 0 && long.TryParse(line["btime ".Length..], CultureInfo.InvariantCulture, out long seconds) ? seconds : 0;
    }

    private bool IsTrees(long pid) => _pids.Contains((int)pid);

    /// <summary>Of a segment that no process of the tree has attached.</summary>
    public Belonging OfDetached(SysvIpcLine line) =>
        _own || IsTrees(line["cpid"]) && line["nattch"] == 0 ? Belonging.Yes : line["nattch"] == 0 ? Perhaps(line, [(int)line["lpid"]]) : Belonging.No;

    public Belonging OfQueue(int id, SysvIpcLine line) =>
        _own || IsTrees(line["lspid"]) || IsTrees(line["lrpid"]) || _waitedFor.Contains((Syscall.msgrcv, id)) ? Belonging.Yes : Perhaps(line, [(int)line["lspid"], (int)line["lrpid"]]);

    public Belonging OfSet(SemaphoreSight set, bool undone) =>
        _own || undone || set.LastProcesses.Any(pid => IsTrees(pid)) || _waitedFor.Contains((Syscall.semop, set.Id)) ? Belonging.Yes : Perhaps(set.Line, set.LastProcesses);

    private Belonging Perhaps(SysvIpcLine line, IEnumerable<int> users) =>
        _uids.Contains(line.CreatorUid) && line["ctime"] >= _began && !users.Any(pid => pid > 0 && ProcStat.Read(pid) is not null) ? Belonging.Perhaps : Belonging.No;
}
