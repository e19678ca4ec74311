using Stasis.Linux;
using Stasis.State.Descriptors.InternetSocket;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>
/// Makes the connections of an image go on:
/// 1. All of them are held still by a packet filter that goes with us, beside the one that the checkpoint may have left.
/// 2. Each socket is connected in repair mode, without a handshake, and given its numbers, options and queues; what had ended in one
///    direction is ended by the segments that the peer once sent, delivered by us.
/// 3. When nothing can fail any more the filters go (also one that is left from when the tree was here last and moved away), the sockets
///    leave repair mode with a probe that wakes their peers, and what had never been sent is written anew.
/// Until then a failure, or our death, closes the sockets in repair mode, and the peers still wait.
/// </summary>
internal sealed class TcpRestoration
{
    private readonly RebuildContext _context;
    private readonly List<(int Socket, TcpConnectionRecord Record)> _made = [];
    private readonly List<(byte[] Address, byte[] Peer)> _connections;
    private readonly List<string> _tables;
    private readonly NfTables? _hold;

    private TcpRestoration(RebuildContext context)
    {
        _context = context;
        List<TcpConnectionRecord> records = [.. context.Descriptions.Values.OfType<TcpConnectionRecord>()];
        List<UnacceptedClient> clients = [.. context.Descriptions.Values.OfType<InternetSocketRecord>().SelectMany(listener => listener.Clients)];
        _connections = [.. records.Where(record => record.Peer.Length > 0).Select(record => (record.Address, record.Peer)), .. clients.Select(client => (client.Address, client.Peer))];
        _tables = [.. records.Select(record => record.Hold).Concat(clients.Select(client => client.Hold)).Where(name => name.Length > 0).Distinct()];
        if (_connections.Count > 0) _hold = NfTables.Own($"stasis-restart-{Environment.ProcessId}", _connections);
        context.BeforeResume.Add(LetGo);
    }

    public static TcpRestoration Of(RebuildContext context)
    {
        const string Key = "TCP connections";
        if (!context.Shared.TryGetValue(Key, out object? made)) context.Shared[Key] = made = new TcpRestoration(context);
        return (TcpRestoration)made;
    }

    public int Make(TcpConnectionRecord record)
    {
        int socket = Linux.Sockets.Create(record.Family, SOCK_STREAM, IPPROTO_TCP).OrThrowDescriptor("socket");
        TcpRepair.Set(socket, TcpRepair.On).OrThrow("setsockopt(TCP_REPAIR)");
        SetEarlyOptions(socket, record);
        if (record.Phase != TcpPhase.Ended) Linux.Sockets.Bind(socket, record.Address).OrThrow($"bind to {InternetAddress.Words(record.Address)}");
        if (record.Phase == TcpPhase.SynSent) Number(socket, TcpRepair.SendQueue, record.WriteSequence - 1);
        else if (record.Phase == TcpPhase.Ended) End(socket, record);
        else Connect(socket, record);
        // The program's descriptor is not ours any more when the last step comes.
        const int F_DUPFD_CLOEXEC = 1030;
        _made.Add((Files.Control(socket, F_DUPFD_CLOEXEC).OrThrowDescriptor("fcntl(F_DUPFD_CLOEXEC)"), record));
        return socket;
    }

    // A filter would drop what is delivered, a device what does not come from it; the rest may decide over bind and connect.
    private static bool IsLate(SocketOption option) => option is { Level: SOL_SOCKET, Name: SO_ATTACH_FILTER or SO_LOCK_FILTER or SO_BINDTODEVICE };
    public static void SetEarlyOptions(int socket, TcpConnectionRecord record) => SocketOptions.Set(socket, [.. record.Options.Where(option => !IsLate(option))]);

    private static void Number(int socket, int queue, uint sequence)
    {
        TcpRepair.Select(socket, queue).OrThrow("setsockopt(TCP_REPAIR_QUEUE)");
        TcpRepair.SetSequence(socket, sequence).OrThrow("setsockopt(TCP_QUEUE_SEQ)");
    }

    private void Connect(int socket, TcpConnectionRecord record)
    {
        bool finSent = record.Phase is TcpPhase.FinWait1 or TcpPhase.FinWait2 or TcpPhase.LastAck or TcpPhase.Closing;
        bool finReceived = record.Phase is TcpPhase.CloseWait or TcpPhase.LastAck or TcpPhase.Closing;
        uint written = record.WriteSequence - (finSent ? 1u : 0), received = record.ReceiveSequence - (finReceived ? 1u : 0), acknowledged = written - (uint)record.WrittenLength;
        Number(socket, TcpRepair.SendQueue, acknowledged);
        Number(socket, TcpRepair.ReceiveQueue, received - (uint)record.ReceivedLength);
        string words = $"from {InternetAddress.Words(record.Address)} to {InternetAddress.Words(record.Peer)}";
        Connect(socket, record.Address, record.Peer).OrThrow($"connect in repair mode {words}");
        TcpRepair.SetOptions(socket, record.MaximumSegment, record.SendScale, record.ReceiveScale, record.SelectiveAcknowledgement, record.Timestamps).OrThrow("setsockopt(TCP_REPAIR_OPTIONS)");
        TcpRepair.SetTimestamp(socket, record.Timestamp).OrThrow("setsockopt(TCP_TIMESTAMP)");
        MakeRoom(socket, SO_RCVBUFFORCE, record.ReceivedLength);
        MakeRoom(socket, SO_SNDBUFFORCE, record.WrittenLength);
        byte[] sent = Content(record.Written);
        FillReceived(socket, record, received, acknowledged);
        Fill(socket, TcpRepair.SendQueue, sent.AsSpan(0, sent.Length - record.UnsentLength));
        HalfClose(socket, record, finReceived, finSent && !record.FinUnsent, received, acknowledged);
        TcpRepair.SetWindow(socket, record.Window).OrThrow("setsockopt(TCP_REPAIR_WINDOW)");
        TcpInfo now = TcpInfo.Of(socket);
        InvariantBroken.Require(now.State == StateOf(record), $"the connection {words} came to state {now.State}, not to {record.Phase}");
    }

    /// <summary>Connects in repair mode, also where the original has left the same connection waiting out its time.</summary>
    public static SysResult Connect(int socket, byte[] address, byte[] peer)
    {
        SysResult connected = Linux.Sockets.Connect(socket, peer);
        if (connected.Errno != Errno.EADDRNOTAVAIL) return connected;
        TimeWait.End(address, peer);
        return Linux.Sockets.Connect(socket, peer);
    }

    private void FillReceived(int socket, TcpConnectionRecord record, uint received, uint acknowledged)
    {
        byte[] content = Content(record.Received);
        int at = record.UrgentAt;
        Fill(socket, TcpRepair.ReceiveQueue, at < 0 ? content : content.AsSpan(0, at));
        if (at < 0) return;
        TcpUrgent.Restore(socket, record, received - (uint)(content.Length - at), acknowledged, content[at]);
        Fill(socket, TcpRepair.ReceiveQueue, content.AsSpan(at + 1));
    }

    private byte[] Content(string? name) => name is null ? [] : _context.StoredBytes(name);

    // Room for as long as the restart takes: what waits may be more than the buffers would take anew.
    private static void MakeRoom(int socket, int option, int length)
    {
        const int Least = 1 << 20, Most = 1 << 29, TimesOverhead = 4;
        int room = (int)Math.Clamp((long)length * TimesOverhead, Least, Most);
        Linux.Sockets.SetOption(socket, SOL_SOCKET, option, room).OrThrow("setsockopt of a buffer's size");
    }

    private static void Fill(int socket, int queue, ReadOnlySpan<byte> content)
    {
        const int Step = 64 * 1024 - 4096; // a receive queue takes no more than a segment's worth at once
        TcpRepair.Select(socket, queue).OrThrow("setsockopt(TCP_REPAIR_QUEUE)");
        while (content.Length > 0)
        {
            int taken = (int)Linux.Sockets.Send(socket, content[..Math.Min(content.Length, Step)]).OrThrow("send in repair mode");
            content = content[taken..];
        }
    }

    /// <summary>The ends of the two directions in the order in which they came, as far as it decides over the state.</summary>
    private static void HalfClose(int socket, TcpConnectionRecord record, bool finReceived, bool finSent, uint received, uint acknowledged)
    {
        int window = WindowField(record);
        void Deliver(uint sequence, uint acknowledges, int flags) => TcpSegment.Deliver(record.Peer, record.Address, sequence, acknowledges, flags, window);
        TcpRepair.Select(socket, TcpRepair.SendQueue).OrThrow("setsockopt(TCP_REPAIR_QUEUE)");
        bool finFirst = record.Phase == TcpPhase.Closing && !record.FinUnsent;
        if (finReceived && !finFirst) Deliver(received, acknowledged, TcpSegment.FIN | TcpSegment.ACK);
        // In repair mode the FIN counts as sent.
        if (finSent) Linux.Sockets.Shutdown(socket, SHUT_WR).OrThrow("shutdown in repair mode");
        if (record.Phase == TcpPhase.FinWait2) Deliver(received, record.WriteSequence, TcpSegment.ACK);
        if (finReceived && finFirst && finSent) Deliver(received, acknowledged, TcpSegment.FIN | TcpSegment.ACK);
        if (record.ReceivingShutDown) Linux.Sockets.Shutdown(socket, SHUT_RD).OrThrow("shutdown in repair mode");
    }

    /// <summary>The peer's window as its last segment told it.</summary>
    public static int WindowField(TcpConnectionRecord record) => (int)Math.Min(record.Window[1] >> Math.Max(record.SendScale, 0), ushort.MaxValue);

    // What an unsent FIN makes of the state comes when it is sent; whose FIN was first, the program can't tell.
    private static int StateOf(TcpConnectionRecord record) => record.Phase switch
    {
        TcpPhase.Established => 1,
        TcpPhase.FinWait1 => record.FinUnsent ? 1 : 4,
        TcpPhase.FinWait2 => 5,
        TcpPhase.CloseWait => 8,
        TcpPhase.LastAck => record.FinUnsent ? 8 : 9,
        TcpPhase.Closing => record.FinUnsent ? 8 : 11,
        _ => 7,
    };

    /// <summary>
    /// What is over is brought to its end anew, with a peer that is nobody: connected, given what waits to be read, and reset. The error is
    /// taken where the program had it already. On a host without its address it happens on the loopback.
    /// </summary>
    private void End(int socket, TcpConnectionRecord record)
    {
        const uint First = 1;
        byte[] content = Content(record.Received), address = record.Address;
        if (Linux.Sockets.Bind(socket, address).Failed)
        {
            address = InternetAddress.Loopback(record.Family);
            Linux.Sockets.Bind(socket, address).OrThrow("bind to the loopback address");
            address = Linux.Sockets.Name(socket).Address;
        }
        byte[] peer = [.. address];
        (peer[2], peer[3]) = (0, (byte)(address.AsSpan(2, 2).SequenceEqual<byte>([0, 1]) ? 2 : 1));
        Number(socket, TcpRepair.SendQueue, First);
        Number(socket, TcpRepair.ReceiveQueue, First);
        Linux.Sockets.Connect(socket, peer).OrThrow($"connect in repair mode at {InternetAddress.Words(address)}");
        MakeRoom(socket, SO_RCVBUFFORCE, content.Length);
        Fill(socket, TcpRepair.ReceiveQueue, content);
        TcpSegment.Deliver(peer, address, First + (uint)content.Length, First, TcpSegment.RST | TcpSegment.ACK, 0);
        InvariantBroken.Require(TcpInfo.Of(socket).State == TCP_CLOSE, "a connection that has ended could not be ended again");
        if (!record.Reset) Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_ERROR).OrThrow("getsockopt(SO_ERROR)");
    }

    private void LetGo()
    {
        foreach ((int socket, TcpConnectionRecord record) in _made) if (IsBegunHere(record)) BeginHeld(socket, record);
        foreach (string table in _tables)
        {
            SysResult removed = NfTables.Remove(table);
            if (removed.Failed && removed.Errno != Errno.ENOENT) removed.OrThrow($"removal of the packet filter table {table}");
        }
        NfTables.Forget(_connections);
        _hold?.Dispose();
        foreach ((int socket, TcpConnectionRecord record) in _made)
        {
            using var own = new DescriptorHandle(socket);
            LetGo(socket, record);
        }
    }

    private void LetGo(int socket, TcpConnectionRecord record)
    {
        if (!IsBegunHere(record)) TcpRepair.Set(socket, TcpRepair.OffWithProbe).OrThrow("setsockopt(TCP_REPAIR, off)");
        if (record.Phase == TcpPhase.SynSent && !IsBegunHere(record)) Begin(socket, record);
        if (record.UnsentLength > 0)
        {
            ReadOnlySpan<byte> unsent = Content(record.Written).AsSpan(record.WrittenLength - record.UnsentLength);
            while (unsent.Length > 0) unsent = unsent[(int)Linux.Sockets.Send(socket, unsent).OrThrow("send of what had not been sent")..];
        }
        if (record.FinUnsent) Linux.Sockets.Shutdown(socket, SHUT_WR).OrThrow("shutdown");
        SocketOptions.Set(socket, [.. record.Options.Where(IsLate)]);
        Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_SNDBUFFORCE, record.SendBuffer / 2).OrThrow("setsockopt(SO_SNDBUFFORCE)");
        Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_RCVBUFFORCE, record.ReceiveBuffer / 2).OrThrow("setsockopt(SO_RCVBUFFORCE)");
        Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_BUF_LOCK, record.BufferLocks).OrThrow("setsockopt(SO_BUF_LOCK)");
        Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_REUSEADDR, record.ReuseAddress ? 1 : 0).OrThrow("setsockopt(SO_REUSEADDR)");
    }

    private static bool IsBegunHere(TcpConnectionRecord record) => record.Phase == TcpPhase.SynSent && InternetAddress.IsHere(record.Peer);

    // At this host a handshake would be over before connect(2) returns, and the program, whose own call is made again, would be told that it is
    // connected already (EISCONN). So the first segment goes while it is held back, and again a second later.
    private static void BeginHeld(int socket, TcpConnectionRecord record)
    {
        TcpRepair.Set(socket, TcpRepair.OffWithProbe).OrThrow("setsockopt(TCP_REPAIR, off)");
        Begin(socket, record);
    }

    // The same first number as before, which the socket still has: the peer may have answered it already.
    private static void Begin(int socket, TcpConnectionRecord record)
    {
        const int F_GETFL = 3, F_SETFL = 4;
        long flags = Files.Control(socket, F_GETFL).OrThrow("fcntl(F_GETFL)");
        Files.Control(socket, F_SETFL, (nint)(flags | (long)OpenFlags.O_NONBLOCK)).OrThrow("fcntl(F_SETFL)");
        SysResult connected = Linux.Sockets.Connect(socket, record.Peer);
        if (connected.Failed && connected.Errno != Errno.EINPROGRESS) connected.OrThrow($"connect to {InternetAddress.Words(record.Peer)}");
        Files.Control(socket, F_SETFL, (nint)flags).OrThrow("fcntl(F_SETFL)");
    }
}
