using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Processes;

namespace Stasis.Engine.Restart;

/// <summary>
/// Makes a blank process for every process of the image, each with its id, its parent, its session and its group. A session is
/// inherited at birth and left only by setsid, so what decides is the order: a child of the session that its parent was born in is
/// made before the parent's setsid, a child of the parent's own session after it. Sessions and groups whose leader has ended
/// are opened by a helper with the leader's id, which then ends.
/// </summary>
/// <param name="terminals">For each session that has a terminal of the image: its number in every blank process, and its foreground group (0 for none).</param>
/// <param name="beforeEnd">Called with the id in the image of each zombie while it still lives, when <see cref="Ids"/> are all there.</param>
internal sealed class TreeBuilder(LoadedImage image, RestartTrace trace, IReadOnlyDictionary<int, (int Descriptor, int ForegroundGroup)> terminals, Action<int> beforeEnd)
{
    private const int CLONE_PARENT = 0x8000, SIGCHLD = Signals.SIGCHLD;
    private readonly Dictionary<int, BlankTask> _blanks = [];
    private readonly Dictionary<int, int> _sessionOf = [];
    private readonly Dictionary<int, int> _ids = [];
    private readonly List<ProcessRecord> _strangers = [];
    private readonly Dictionary<int, (int Creator, int Flags)> _makers = Makers(image.Tree);
    private readonly List<(BlankTask Helper, BlankTask Parent)> _helpers = [];

    /// <summary>The leader of each process, by its id in the image; zombies are gone from it when they have ended.</summary>
    public IReadOnlyDictionary<int, BlankTask> Blanks => _blanks;

    /// <summary>Every process by its id in the image, zombies too: its id as we see it.</summary>
    public IReadOnlyDictionary<int, int> Ids => _ids;

    /// <summary>Makes the whole tree below a creator: the init of the new namespace, or the maker.</summary>
    /// <param name="ownChild">The root is the creator's own child; else, by CLONE_PARENT, ours, for whom it is to wait in the foreground.</param>
    public void Build(BlankTask creator, bool ownChild)
    {
        foreach (ProcessRecord top in image.Tree.Processes.Where(process => process.Parent == 0))
        {
            if (top.Session != image.Tree.OutsideSession && top.Session != top.Pid)
            {
                _strangers.Add(top); // adopted by the init, of a session that was made inside
                continue;
            }
            _blanks[top.Pid] = Ready(top, Clone(creator, top.Pid, ownChild ? 0 : CLONE_PARENT, ownChild ? (top.ExitSignal == 0 ? SIGCHLD : top.ExitSignal) : 0));
            _sessionOf[top.Pid] = image.Tree.OutsideSession;
        }
        foreach (ProcessRecord top in image.Tree.Processes.Where(process => process.Parent == 0 && _blanks.ContainsKey(process.Pid))) BuildBelow(top);
        // Adopting one may bring more to light.
        for (int i = 0; i < _strangers.Count; i++) AdoptStranger(_strangers[i], creator);
        SetGroups();
        SetForegroundGroups();
        foreach ((BlankTask helper, BlankTask parent) in Enumerable.Reverse(_helpers)) End(helper, parent);
        foreach ((int pid, BlankTask blank) in _blanks) _ids[pid] = blank.Tid;
        foreach (ProcessRecord zombie in image.Tree.Processes.Where(process => process.ZombieStatus is not null)) MakeZombie(zombie);
    }

    // Checked with the image: somebody can make each.
    private static Dictionary<int, (int, int)> Makers(TreeRecord tree)
    {
        var kinship = new Kinship();
        Dictionary<int, (int, int)> makers = [];
        foreach (ProcessRecord process in tree.Processes.Where(process => process.ZombieStatus is null))
            makers[process.Pid] = kinship.Add(Kin.Of(process)) ?? throw new InvalidOperationException($"nobody can make process {process.Pid}");
        return makers;
    }

    private void BuildBelow(ProcessRecord parent)
    {
        List<ProcessRecord> children = [.. image.Tree.Processes.Where(process => process.Parent == parent.Pid)];
        int bornIn = _sessionOf[parent.Pid];
        bool leads = parent.Session == parent.Pid;
        foreach (ProcessRecord child in children)
            if (leads && child.Session == bornIn && child.Session != parent.Session) MakeChild(parent, child);
        if (leads && bornIn != parent.Pid)
        {
            var tape = new Tape();
            tape.Call("setsid", Syscall.setsid);
            // Before there are children: they inherit the controlling terminal at birth, and no call gives it to them later.
            if (terminals.TryGetValue(parent.Pid, out (int Descriptor, int) terminal)) tape.Call("ioctl(TIOCSCTTY)", Syscall.ioctl, terminal.Descriptor, Terminals.TIOCSCTTY, 1 /* also from our own session */);
            _blanks[parent.Pid].Run(tape);
            _sessionOf[parent.Pid] = parent.Pid;
        }
        foreach (ProcessRecord child in children)
        {
            if (_blanks.ContainsKey(child.Pid)) continue;
            if (child.Session == _sessionOf[parent.Pid] || child.Session == child.Pid) MakeChild(parent, child);
            else _strangers.Add(child);
        }
        foreach (ProcessRecord child in children) if (_blanks.ContainsKey(child.Pid)) BuildBelow(child);
    }

    private void MakeChild(ProcessRecord parent, ProcessRecord child)
    {
        (int creator, int flags) = _makers.TryGetValue(child.Pid, out (int, int) maker) ? maker : (parent.Pid, 0);
        _blanks[child.Pid] = Ready(child, Clone(_blanks[creator], child.Pid, flags, creator == parent.Pid ? child.ExitSignal : 0));
        _sessionOf[child.Pid] = _sessionOf[parent.Pid];
    }

    // Before it has children: what those share with it, execve would part.
    private static BlankTask Ready(ProcessRecord process, BlankTask born)
    {
        if (process.ZombieStatus is null && process.ThirtyTwoBit != born.IsCompat) born.Become(process.ThirtyTwoBit);
        return born;
    }

    private BlankTask Clone(BlankTask creator, int pid, int flags, int exitSignal)
    {
        var tape = new Tape();
        CloneCall.Add(tape, $"clone3 of a process with id {pid}", (ulong)flags, exitSignal, pid);
        creator.Run(tape);
        BlankTask born = creator.TakeBorn(thread: false);
        trace.Made(born.Tid);
        return born;
    }

    /// <summary>
    /// A process whose session is neither its parent's first nor its later one: it was adopted. A member of its session makes it, as a
    /// sibling where their parents are the same, else as a grandchild whose parent ends, so that the tree's reaper adopts it.
    /// </summary>
    private void AdoptStranger(ProcessRecord stranger, BlankTask creator)
    {
        BlankTask parent = stranger.Parent == 0 ? creator : _blanks[stranger.Parent];
        BlankTask member = MemberOf(stranger.Session, parent);
        if (ParentOf(member) == parent.Tid)
        {
            _blanks[stranger.Pid] = Ready(stranger, Clone(member, stranger.Pid, CLONE_PARENT, 0));
        }
        else
        {
            if (stranger.Parent != 0)
            {
                var reaper = new Tape();
                reaper.Call("prctl(PR_SET_CHILD_SUBREAPER)", Syscall.prctl, 36, 1, 0, 0, 0);
                parent.Run(reaper);
            }
            BlankTask between = Clone(member, 0, 0, 0);
            _blanks[stranger.Pid] = Ready(stranger, Clone(between, stranger.Pid, 0, stranger.ExitSignal));
            End(between, member);
            if (ParentOf(_blanks[stranger.Pid]) != parent.Tid)
                throw new TargetUnruly($"process {stranger.Pid} can't be given its parent {stranger.Parent} and its session {stranger.Session} together");
        }
        _sessionOf[stranger.Pid] = stranger.Session;
        BuildBelow(stranger);
    }

    private BlankTask MemberOf(int session, BlankTask parent)
    {
        foreach ((int pid, BlankTask blank) in _blanks) if (_sessionOf[pid] == session) return blank;
        BlankTask helper = Clone(parent, session, 0, SIGCHLD);
        var tape = new Tape();
        tape.Call("setsid", Syscall.setsid);
        helper.Run(tape);
        _helpers.Add((helper, parent));
        return helper;
    }

    private static int ParentOf(BlankTask task) => ProcStat.Read(task.Tid)?.ParentPid ?? throw new TargetGone(task.Tid);

    private void SetGroups()
    {
        List<ProcessRecord> processes = [.. image.Tree.Processes.Where(process => process.Group != image.Tree.OutsideGroup && process.Session != process.Pid)];
        foreach (IGrouping<int, ProcessRecord> group in processes.GroupBy(process => process.Group))
        {
            if (_blanks.TryGetValue(group.Key, out BlankTask? leader)) SetGroup(leader, group.Key);
            else MakeGroup(group.Key, _blanks[group.First().Pid]);
            foreach (ProcessRecord member in group) if (member.Pid != group.Key) SetGroup(_blanks[member.Pid], group.Key);
        }
    }

    private void SetForegroundGroups()
    {
        foreach ((int session, (int descriptor, int group)) in terminals)
        {
            if (group == 0 || !_blanks.TryGetValue(session, out BlankTask? leader)) continue;
            var tape = new Tape();
            TapeCall set = tape.Try($"ioctl(TIOCSPGRP, {group})", Syscall.ioctl, descriptor, Terminals.TIOCSPGRP, tape.Data(group));
            leader.Run(tape);
            // ESRCH: the group had ended at the checkpoint already, and the terminal was left without one.
            if (set.Result.Errno != Errno.ESRCH) set.Result.OrThrow($"ioctl(TIOCSPGRP, {group})", leader.Tracee.Whose);
        }
    }

    private void MakeGroup(int group, BlankTask member)
    {
        // A session leader that has ended has left its session's first group too: then the helper of the session made it.
        if (_helpers.Any(pair => ProcStat.Read(pair.Helper.Tid) is { } stat && InsideGroupOf(pair.Helper, stat) == group)) return;
        BlankTask helper = Clone(member, group, 0, 0);
        SetGroup(helper, group);
        _helpers.Add((helper, member));
    }

    private static int InsideGroupOf(BlankTask task, ProcStat stat) => ProcStatus.Read($"/proc/{task.Tid}")?.Numbers("NSpgid") is { Length: > 0 } inside ? (int)inside[^1] : stat.ProcessGroup;

    private static void SetGroup(BlankTask task, int group)
    {
        ProcStat stat = ProcStat.Read(task.Tid) ?? throw new TargetGone(task.Tid);
        if (InsideGroupOf(task, stat) == group) return;
        var tape = new Tape();
        tape.Call($"setpgid to {group}", Syscall.setpgid, 0, group);
        task.Run(tape);
    }

    // A helper ends, and its parent forgets it: its exit signal is none.
    internal static void End(BlankTask helper, BlankTask parent, int waitStatus = 0)
    {
        int inside = ProcStatus.Read($"/proc/{helper.Tid}")?.Numbers("NSpid") is { Length: > 0 } ids ? (int)ids[^1] : helper.Tid;
        helper.EndBy(waitStatus);
        var tape = new Tape();
        const int __WALL = 0x40000000;
        tape.Call($"wait4 for a helper ({inside})", Syscall.wait4, inside, 0, __WALL, 0);
        parent.Run(tape);
    }

    // Ends the same way as the one in the image, and is left for its parent to wait for. The parent's pending SIGCHLD is taken away later.
    private void MakeZombie(ProcessRecord zombie)
    {
        beforeEnd(zombie.Pid);
        _blanks[zombie.Pid].EndBy(zombie.ZombieStatus!.Value, zombie.Comm);
        _blanks.Remove(zombie.Pid);
    }
}

/// <summary>clone3(2) on a tape (struct clone_args, include/uapi/linux/sched.h; set_tid since Linux 5.5).</summary>
internal static class CloneCall
{
    public static TapeCall Add(Tape tape, string words, ulong flags, int exitSignal, int id)
    {
        TapeData ids = tape.Data<int>(id);
        // flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
        TapeData arguments = tape.Data<ulong>(flags, 0, 0, 0, (ulong)exitSignal, 0, 0, 0, 0, id == 0 ? 0ul : 1, 0);
        if (id != 0) tape.PointAt(arguments, 64, ids);
        return tape.Call(words, Syscall.clone3, arguments, 88);
    }
}

/// <summary>Remembers every process made, so that a failure leaves none behind.</summary>
internal sealed class RestartTrace
{
    private readonly List<int> _pids = [];
    public void Made(int pid) => _pids.Add(pid);

    /// <summary>It has ended and been waited for: its id may be anybody's by now.</summary>
    public void Ended(int pid) => _pids.Remove(pid);

    /// <summary>The tree runs: what was made is nobody's to end any more.</summary>
    public void Forget() => _pids.Clear();

    /// <summary>Ends all of them and takes their statuses.</summary>
    public void KillAll()
    {
        foreach (int pid in _pids) Signals.Send(pid, Signals.SIGKILL);
        foreach (int pid in _pids) Wait.For(pid, TimeSpan.FromSeconds(5));
        _pids.Clear();
    }
}
