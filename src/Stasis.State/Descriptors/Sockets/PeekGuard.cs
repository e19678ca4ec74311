using Stasis.Linux;
using Stasis.Remote;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.Sockets;

/// <summary>
/// Looking behind the first message of a queue takes options of the socket, which belong to the frozen program too: where a look
/// begins (SO_PEEK_OFF), and whether it shows who has sent, or to which address. They are set back after each look. Should the tool die in
/// between, a process of ours that has the sockets too sets them back: it waits for the end of a pipe whose other end only the tool
/// has, and the kernel closes that before it lets the tool's tracees go (kernel/exit.c: exit_files, then exit_notify).
/// </summary>
internal sealed class PeekGuard : IDisposable
{
    private const int SocketsAtOnce = 2000;
    private static readonly Arena s_arena = new(0x10000000);

    /// <summary>What a look sets: where it begins (by itself), and what is to come along.</summary>
    private static readonly (int Level, int Name)[] s_shown = [(SOL_SOCKET, SO_PASSCRED), (SOL_IP, IP_PKTINFO), (SOL_IPV6, IPV6_RECVPKTINFO)];

    private sealed record Guarded(DescriptorHandle Socket, int Offset, (int Level, int Name, int Value)[] Shown);

    private readonly Dictionary<uint, Guarded> _sockets = [];
    private readonly List<int> _pids = [];
    private DescriptorHandle? _pipe;

    private bool Covers(uint inode) => _sockets.ContainsKey(inode);

    /// <summary>The guard over this socket. The first that is asked for takes all sockets that are known so far with something to read.</summary>
    public static PeekGuard Of(Sighting sighting, ExamineContext context)
    {
        const string Key = "guards of sockets";
        if (!context.Cache.TryGetValue(Key, out object? known)) context.Cache[Key] = known = new List<PeekGuard>();
        var guards = (List<PeekGuard>)known;
        if (guards.Find(guard => guard.Covers(SocketSight.Inode(sighting))) is { } standing) return standing;
        IEnumerable<Sighting> others = context.All.Where(other => SocketSight.IsSocket(other) && !guards.Exists(guard => guard.Covers(SocketSight.Inode(other))) && MayHaveMore(other));
        PeekGuard made = Over(others.Append(sighting));
        guards.Add(made);
        context.Hold(made);
        return made;
    }

    private static bool MayHaveMore(Sighting sighting)
    {
        SocketSight sight = SocketSight.Of(sighting);
        if (sight is not ({ Family: AF_UNIX } or { Family: AF_INET or AF_INET6, Protocol: IPPROTO_UDP or IPPROTO_UDPLITE })) return false;
        using DescriptorHandle own = sighting.Take();
        return (sight.Type != SOCK_STREAM || sighting.Information.Decimal("scm_fds") > 0 || Linux.Sockets.GetOption(own.Number, SOL_SOCKET, SO_PASSCRED).Raw > 0)
            && Linux.Sockets.GetOption(own.Number, SOL_SOCKET, SO_ACCEPTCONN).Raw == 0 && (Poll.Events(own.Number) & Poll.POLLIN) != 0;
    }

    /// <summary>Takes these sockets under guard. The tree must stand still.</summary>
    private static PeekGuard Over(IEnumerable<Sighting> sockets)
    {
        var guard = new PeekGuard();
        try
        {
            foreach (Sighting sighting in sockets)
            {
                uint inode = SocketSight.Inode(sighting);
                if (guard.Covers(inode)) continue;
                DescriptorHandle own = sighting.Take();
                int offset = unchecked((int)Linux.Sockets.GetOption(own.Number, SOL_SOCKET, SO_PEEK_OFF).OrThrow("getsockopt(SO_PEEK_OFF)"));
                guard._sockets[inode] = new Guarded(own, offset, [.. Shown(own.Number)]);
            }
            guard.Stand();
            return guard;
        }
        catch
        {
            guard.Dispose();
            throw;
        }
    }

    // Of those options, the ones that this kind of socket has.
    private static IEnumerable<(int, int, int)> Shown(int socket)
    {
        foreach ((int level, int name) in s_shown)
            if (Linux.Sockets.GetOption(socket, level, name) is { Failed: false } value) yield return (level, name, (int)value.Value);
    }

    private void Stand()
    {
        (int read, int write) = Pipes.Create(OpenFlags.O_CLOEXEC);
        _pipe = new DescriptorHandle(write);
        using var waiting = new DescriptorHandle(read);
        foreach (Guarded[] some in _sockets.Values.Chunk(SocketsAtOnce)) _pids.Add(Start(some, waiting.Number));
    }

    private static int Start(Guarded[] sockets, int pipe)
    {
        int[] inherited = [pipe, .. sockets.Select(socket => socket.Socket.Number)];
        foreach (int descriptor in inherited) SetCloseOnExec(descriptor, 0);
        BlankTask task;
        try
        {
            task = BlankTask.Spawn(s_arena);
        }
        finally
        {
            foreach (int descriptor in inherited) SetCloseOnExec(descriptor, 1);
        }
        // It is to outlive us, if it comes to that; until it runs alone, nothing is changed that it would have to set back.
        const int PR_SET_PDEATHSIG = 1;
        var outliving = new Tape();
        outliving.Call("prctl(PR_SET_PDEATHSIG)", Syscall.prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
        task.Run(outliving);
        var tape = new Tape();
        tape.Try("read of a pipe", Syscall.read, pipe, tape.Reserve(8), 1);
        foreach (Guarded socket in sockets)
            foreach ((int level, int name, int value) in socket.Shown.Append((SOL_SOCKET, SO_PEEK_OFF, socket.Offset)))
                tape.Try("setsockopt", Syscall.setsockopt, socket.Socket.Number, level, name, tape.Data(value), sizeof(int));
        tape.Try("exit_group", Syscall.exit_group, 0);
        task.RunAndLetGo(tape, ulong.MaxValue);
        return task.Tid;
    }

    private static void SetCloseOnExec(int descriptor, int flag)
    {
        const int F_SETFD = 2;
        Files.Control(descriptor, F_SETFD, flag).OrThrow("fcntl(F_SETFD)");
    }

    /// <summary>A look at a guarded socket, by a duplicate of ours whose options may be changed meanwhile.</summary>
    public T Look<T>(uint inode, Func<int, T> look)
    {
        Guarded guarded = _sockets[inode];
        int socket = guarded.Socket.Number;
        try
        {
            foreach ((int level, int name, _) in guarded.Shown) Linux.Sockets.SetOption(socket, level, name, 1).OrThrow($"setsockopt({level}, {name})");
            return look(socket);
        }
        finally
        {
            Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_PEEK_OFF, guarded.Offset).OrThrow("setsockopt(SO_PEEK_OFF)");
            foreach ((int level, int name, int value) in guarded.Shown) Linux.Sockets.SetOption(socket, level, name, value).OrThrow($"setsockopt({level}, {name})");
        }
    }

    public void Dispose()
    {
        foreach (int pid in _pids)
        {
            Signals.Send(pid, Signals.SIGKILL);
            Wait.For(pid, TimeSpan.FromSeconds(5));
        }
        _pids.Clear();
        _pipe?.Dispose();
        foreach (Guarded socket in _sockets.Values) socket.Socket.Dispose();
        _sockets.Clear();
    }
}
