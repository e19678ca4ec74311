using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;

namespace Stasis.Engine.Restart;

/// <summary>
/// Blank processes with ids of the image that stand in for its processes before those are made, where the kernel notes who does
/// something. The note stays as it is when they have ended and the true ones have their ids. In a new pid namespace no process can
/// stand in for one of it before it exists; the note then has the user and group, and no pid that means something there.
/// </summary>
internal sealed class StandIns(Arena arena, bool newPidNamespace) : IDisposable
{
    private readonly Dictionary<int, StandIn> _byPid = [];
    private BlankTask? _maker;

    private sealed class StandIn(BlankTask task)
    {
        public BlankTask Task { get; } = task;
        public (uint Uid, uint Gid) Effective { get; set; } = (0, 0);
    }

    /// <summary>Runs the tape as this process, user and group; the pid it ran in.</summary>
    public int Run(SocketCredentials who, Tape tape)
    {
        int pid = newPidNamespace || who.Pid <= 0 ? 0 : who.Pid;
        if (!_byPid.TryGetValue(pid, out StandIn? standIn)) _byPid[pid] = standIn = Make(pid != 0 && ProcStat.Read(pid) is null ? pid : 0);
        Become(standIn, (who.Uid, who.Gid));
        standIn.Task.Run(tape);
        return standIn.Task.Tid;
    }

    private StandIn Make(int id)
    {
        const int PR_SET_SECUREBITS = 28, SECBIT_NO_SETUID_FIXUP = 4;
        _maker ??= BlankTask.Spawn(arena);
        Clone(_maker, id);
        var standIn = new StandIn(_maker.TakeBorn(thread: false));
        // With another effective user it keeps its capabilities: it is to reach what root reaches.
        var tape = new Tape();
        tape.Call("prctl(PR_SET_SECUREBITS)", Syscall.prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
        standIn.Task.Run(tape);
        return standIn;
    }

    // An id may be taken by no process and yet be that of a group or a session.
    private static void Clone(BlankTask maker, int id)
    {
        try
        {
            var tape = new Tape();
            CloneCall.Add(tape, $"clone3 of a process that stands in for {id}", 0, 0, id);
            maker.Run(tape);
        }
        catch (KernelRefusal refusal) when (id != 0 && refusal.Errno is Errno.EEXIST or Errno.EINVAL)
        {
            Clone(maker, 0);
        }
    }

    // A user that can't be had (one without a number in our user namespace) is left out: the note then has the one before.
    private static void Become(StandIn standIn, (uint Uid, uint Gid) wanted)
    {
        if (standIn.Effective == wanted) return;
        var tape = new Tape();
        tape.Try("setresgid", Syscall.setresgid, -1, wanted.Gid, -1);
        tape.Try("setresuid", Syscall.setresuid, -1, wanted.Uid, -1);
        standIn.Task.Run(tape);
        standIn.Effective = wanted;
    }

    /// <summary>Ends them, and waits until their ids are free.</summary>
    public void Dispose()
    {
        const int __WALL = 0x40000000;
        if (_maker is null) return;
        foreach (StandIn standIn in _byPid.Values)
        {
            standIn.Task.EndBy(0);
            var tape = new Tape();
            tape.Call("wait4 for a process that stood in", Syscall.wait4, standIn.Task.Tid, 0, __WALL, 0);
            _maker.Run(tape);
        }
        _byPid.Clear();
        _maker.EndBy(0);
        _maker = null;
    }
}
