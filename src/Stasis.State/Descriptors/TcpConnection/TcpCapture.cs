using System.Security.Cryptography;
using Stasis.Linux;
using Stasis.State.Descriptors.InternetSocket;
using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>
/// Holds all connections of a frozen tree still while they are looked at, so that their queues and numbers belong together:
/// 1. A duplicate of every connection's socket, and a packet filter that goes with us, however we end.
/// 2. The helper, which inherits the duplicates and looks at each in repair mode.
/// 3. If the tree goes on: helper, duplicates and filter go, and segments that were dropped are sent again by their senders.
/// 4. If it is killed: our duplicates keep the sockets open and so silent; a filter that stays takes over, and the sockets are closed in
///    repair mode, which tells no peer. That and the killing are one tape of the helper's, which has the first filter open as well, or our death in between would show. A restart
///    removes that filter.
/// </summary>
internal sealed class TcpCapture : IFrozenAid
{
    private const int F_SETFD = 2;
    private readonly Dictionary<uint, DescriptorHandle> _sockets = [];
    private readonly List<(byte[], byte[])> _connections = [];
    private readonly Dictionary<uint, int> _waiting = [];
    private readonly Dictionary<uint, RepairedState> _read = [];
    private readonly Queue<uint> _toRead = [];
    private readonly NfTables? _hold;
    private readonly PreparedTable? _leaving;
    private RepairHelper? _helper;

    /// <summary>The name of the filter that stays when the tree is killed.</summary>
    public string Name { get; } = $"stasis-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}";

    public TcpCapture(ExamineContext examined)
    {
        const int RLIMIT_NOFILE = 7;
        ulong most = ResourceLimits.Own(RLIMIT_NOFILE).Hard;
        ResourceLimits.SetOwn(RLIMIT_NOFILE, most, most);
        try
        {
            foreach (Sighting sighting in examined.All)
            {
                if (examined.External.Contains((sighting.Pid, sighting.Number)) || !TcpConnectionKind.IsConnection(sighting) || _sockets.ContainsKey(SocketSight.Inode(sighting))) continue;
                DescriptorHandle own = sighting.Take();
                _sockets[SocketSight.Inode(sighting)] = own;
                (SysResult named, byte[] address) = Linux.Sockets.Name(own.Number);
                (SysResult connected, byte[] peer) = TcpConnectionKind.PeerOf(own.Number, TcpInfo.Of(own.Number).State);
                if (connected.Failed) (connected, peer) = Linux.Sockets.PeerName(own.Number); // established meanwhile
                if (named.Failed || connected.Failed) continue;
                _connections.Add((address, peer));
                _toRead.Enqueue(SocketSight.Inode(sighting));
            }
            _connections.AddRange(Arrivals.CarriedOf(examined));
            if (_connections.Count == 0) return;
            _hold = NfTables.Own($"{Name}-frozen", _connections);
            _leaving = NfTables.Prepare(Name, _connections);
            foreach (InetSocketState state in SockDiagInet.Connected()) if (_sockets.ContainsKey(state.Inode)) _waiting[state.Inode] = state.ReceiveQueue;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public int Socket(Sighting sighting) => _sockets[SocketSight.Inode(sighting)].Number;

    /// <summary>How many bytes wait to be read, behind an urgent mark too.</summary>
    public int Waiting(Sighting sighting) => _waiting.GetValueOrDefault(SocketSight.Inode(sighting));

    /// <summary>What repair mode tells of a connection. Those behind it, which will be asked for next, are looked at in the same go.</summary>
    public RepairedState Read(Sighting sighting)
    {
        uint wanted = SocketSight.Inode(sighting);
        if (_read.Remove(wanted, out RepairedState? known)) return known;
        List<uint> batch = [wanted];
        long bytes = SizeOf(wanted);
        while (batch.Count < RepairHelper.MostAtOnce && _toRead.TryPeek(out uint next) && (next == wanted || (bytes += SizeOf(next)) <= RepairHelper.BytesAtOnce))
            if (_toRead.Dequeue() != wanted && !_read.ContainsKey(next)) batch.Add(next);
        RepairedState[] states = Helper().Read([.. batch.Select(inode => (_sockets[inode].Number, _waiting.GetValueOrDefault(inode)))]);
        for (int i = 1; i < batch.Count; i++) _read[batch[i]] = states[i];
        return states[0];
    }

    private long SizeOf(uint inode) => _waiting.GetValueOrDefault(inode) + TcpRepair.Count(_sockets[inode].Number, TcpRepair.SIOCOUTQ);

    public byte[] ReadBehind(int socket, int offset, int length) => Helper().ReadBehind(socket, offset, length);

    private RepairHelper Helper()
    {
        if (_helper is not null) return _helper;
        int[] inherited = [.. _sockets.Values.Select(own => own.Number), .. _leaving is null ? [] : (int[])[_leaving.Netlink], .. _hold is null ? [] : (int[])[_hold.Netlink]];
        foreach (int number in inherited) Files.Control(number, F_SETFD, 0).OrThrow("fcntl(F_SETFD)");
        _helper = RepairHelper.Start();
        foreach (int number in inherited) Files.Control(number, F_SETFD, 1).OrThrow("fcntl(F_SETFD)");
        return _helper;
    }

    public void Kill(IReadOnlyList<int> processes)
    {
        if (_leaving is null) return;
        Helper().End(_leaving, processes, [.. _sockets.Values.Select(own => own.Number)]);
        NfTables.Forget([]);
    }

    public void Dispose()
    {
        _helper?.Dispose();
        _helper = null;
        foreach (DescriptorHandle own in _sockets.Values) own.Dispose();
        _sockets.Clear();
        _leaving?.Dispose();
        _hold?.Dispose();
    }
}
