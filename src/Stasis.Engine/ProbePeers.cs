using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Threads;

namespace Stasis.Engine;

/// <summary>Processes of ours that have nothing but a user's ids, for that user's confined tasks to try and look at (see <see cref="TaskProbes"/>).</summary>
internal sealed class ProbePeers : IDisposable
{
    private static readonly Arena s_arena = new(0x10000000);
    private readonly Dictionary<(uint, uint), BlankTask> _peers = [];

    /// <summary>The pid of a peer for a task with these credentials, as we see it.</summary>
    public int For(CredentialsRecord credentials)
    {
        (uint uid, uint gid) = (credentials.Uids[0], credentials.Gids[0]);
        if (_peers.TryGetValue((uid, gid), out BlankTask? known)) return known.Tid;
        const int PR_SET_DUMPABLE = 4;
        BlankTask peer = _peers[(uid, gid)] = BlankTask.Spawn(s_arena);
        CredentialsRecord own = ThreadCapture.Credentials(ProcStatus.Read("/proc/self")!, 0);
        var tape = new Tape();
        ThreadRestore.AddCredentials(tape, new CredentialsRecord([uid, uid, uid, uid], [gid, gid, gid, gid], [], 0, 0, 0, own.Bounding, 0, 0, false), own);
        tape.Call("prctl(PR_SET_DUMPABLE)", Syscall.prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
        peer.Run(tape);
        return peer.Tid;
    }

    public void Dispose()
    {
        foreach (BlankTask peer in _peers.Values)
        {
            Signals.Send(peer.Tid, Signals.SIGKILL);
            Wait.For(peer.Tid, TimeSpan.FromSeconds(5));
        }
    }
}
