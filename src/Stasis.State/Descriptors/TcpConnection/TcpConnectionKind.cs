using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>TCP sockets that have, had or begin a connection: with a peer in the tree or outside of it.</summary>
public sealed class TcpConnectionKind : DescriptorKind
{
    private const int TCP_SYN_SENT = 2, TCP_SYN_RECV = 3, TCP_FIN_WAIT1 = 4, TCP_FIN_WAIT2 = 5, TCP_TIME_WAIT = 6, TCP_CLOSE_WAIT = 8, TCP_LAST_ACK = 9, TCP_CLOSING = 11;

    public override string Name => "TCP connection";
    public override Type RecordType => typeof(TcpConnectionRecord);
    public override bool Recognizes(Sighting sighting) => IsConnection(sighting);

    internal static bool IsConnection(Sighting sighting)
    {
        if (SocketSight.Of(sighting) is not { Family: AF_INET or AF_INET6, Type: SOCK_STREAM, Protocol: IPPROTO_TCP }) return false;
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return false;
        using var own = new DescriptorHandle(taken.Descriptor);
        int state = TcpInfo.Of(own.Number).State;
        return state is not (TCP_LISTEN or TCP_CLOSE) || state == TCP_CLOSE && HasEnded(own.Number);
    }

    // A socket that was connected once says end of file where a new one says ENOTCONN. Asked only when no error waits, for a
    // receive would take the error away.
    private static bool HasEnded(int socket)
    {
        if (HasError(socket)) return true;
        Span<byte> one = stackalloc byte[1];
        return Linux.Sockets.PeekStream(socket, one).Errno != Errno.ENOTCONN;
    }

    private static bool HasError(int socket) => (Poll.Events(socket) & Poll.POLLERR) != 0;

    /// <summary>getpeername tells nothing of a connection that only begins; sock_diag does.</summary>
    internal static (SysResult Result, byte[] Address) PeerOf(int socket, int state) =>
        state == TCP_SYN_SENT ? SockDiagInet.Peer(socket) : Linux.Sockets.PeerName(socket);

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return;
        using var own = new DescriptorHandle(taken.Descriptor);
        int state = TcpInfo.Of(own.Number).State;
        if (state == TCP_CLOSE && HasError(own.Number))
            context.RefuseForNow(sighting, "its TCP connection has broken and the program has not heard of it yet", "checkpoint when the program has read the error, or closed the socket");
        else if (HasError(own.Number))
            context.RefuseForNow(sighting, "an error of its TCP connection waits to be read, or news of what it has sent (error queue)", "checkpoint when the program has read it");
        if (HasSavedSyn(own.Number))
            context.Refuse(sighting, "the first segment of its TCP connection was kept for the program (TCP_SAVE_SYN) and has not been read, which is not carried", "checkpoint when the program has read it (TCP_SAVED_SYN)");
        if (state == TCP_SYN_RECV)
            context.RefuseForNow(sighting, "its TCP connection was accepted before the handshake was over (TCP Fast Open), which is not carried", "try again in a moment, or start the program without TCP Fast Open");
        if (state == TCP_TIME_WAIT || state > TCP_CLOSING)
            context.RefuseForNow(sighting, $"its TCP connection is in state {state}, which is not carried", "try again in a moment");
        SocketSight.RefuseSigned(sighting, own.Number, context);
        ExamineProtocol(own.Number, sighting, context);
        ExamineFilter(sighting, context);
        SocketOptions.Examine(own.Number, sighting, context);
    }

    // Too little room makes the kernel tell the length and keep the segment, which a read would free (net/ipv4/tcp.c, do_tcp_getsockopt).
    private static bool HasSavedSyn(int socket)
    {
        const int TCP_SAVED_SYN = 28;
        return Linux.Sockets.GetOption(socket, SOL_TCP, TCP_SAVED_SYN, [], 0).Errno == Errno.EINVAL;
    }

    // What sits on top of TCP in the kernel and can't be read back.
    private static void ExamineProtocol(int socket, Sighting sighting, ExamineContext context)
    {
        const int Longest = 16;
        Span<byte> name = stackalloc byte[Longest];
        SysResult got = Linux.Sockets.GetOption(socket, SOL_TCP, TcpRepair.TCP_ULP, name);
        if (got.Failed || got.Value == 0 || name[0] == 0) return;
        string protocol = System.Text.Encoding.ASCII.GetString(name.TrimEnd((byte)0));
        context.Refuse(sighting, protocol == "tls" ? "its encryption is done by the kernel (kernel TLS), whose keys can't be read back" : $"the kernel runs the protocol {protocol} on it, which is not carried",
            protocol == "tls" ? "start the program with kernel TLS off (for OpenSSL: without enable_ktls)" : "let the program close the connection first");
    }

    private static void ExamineFilter(Sighting sighting, ExamineContext context)
    {
        const string Key = "nf_tables";
        if (!context.Cache.TryGetValue(Key, out object? available)) context.Cache[Key] = available = NfTables.Available();
        if (((SysResult)available).Failed)
            context.Refuse(sighting, $"a TCP connection is held still by the packet filter meanwhile, and this kernel's nf_tables can't be used ({((SysResult)available).Errno})",
                "load the module nf_tables and run stasis with CAP_NET_ADMIN, or close the connection first");
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        TcpCapture capture = context.Frozen.Get(() => new TcpCapture(context.Examined));
        int socket = capture.Socket(sighting), state = TcpInfo.Of(socket).State, family = SocketSight.Of(sighting).Family;
        (SysResult named, byte[] address) = Linux.Sockets.Name(socket);
        named.OrThrow("getsockname", $"process {sighting.Pid}");
        var record = new TcpConnectionRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Family = family,
            Address = address,
            Phase = Phase(state),
            SendBuffer = Option(socket, SO_SNDBUF),
            ReceiveBuffer = Option(socket, SO_RCVBUF),
            BufferLocks = Option(socket, SO_BUF_LOCK),
            ReuseAddress = Option(socket, SO_REUSEADDR) != 0,
            Options = [.. SocketOptions.Capture(socket, family, SOCK_STREAM, IPPROTO_TCP).Where(IsTheProgramsOwn)],
        };
        return record.Phase == TcpPhase.Ended ? Ended(record, capture, socket, sighting, context) : Alive(record, capture, socket, sighting, context);
    }

    // Not what the record has by itself, nor what the kernel sets from the first packet of a connection (net/ipv4/tcp_ipv4.c,
    // tcp_v4_syn_recv_sock: multicast options hold the interface and hop limit it came by, and can't be set on TCP).
    private static bool IsTheProgramsOwn(SocketOption option) => (option.Level, option.Name) is not
        ((SOL_TCP, TcpRepair.TCP_MAXSEG) or (SOL_SOCKET, SO_REUSEADDR or SO_SNDBUF or SO_RCVBUF) or (SOL_IP, >= 32 and <= 34 or 49) or (SOL_IPV6, >= 17 and <= 19 or 29));

    private static int Option(int socket, int name) => (int)Linux.Sockets.GetOption(socket, SOL_SOCKET, name).OrThrow("getsockopt");

    private static TcpPhase Phase(int state) => state switch
    {
        TCP_SYN_SENT => TcpPhase.SynSent,
        TCP_ESTABLISHED => TcpPhase.Established,
        TCP_FIN_WAIT1 => TcpPhase.FinWait1,
        TCP_FIN_WAIT2 => TcpPhase.FinWait2,
        TCP_CLOSE_WAIT => TcpPhase.CloseWait,
        TCP_LAST_ACK => TcpPhase.LastAck,
        TCP_CLOSING => TcpPhase.Closing,
        _ => TcpPhase.Ended,
    };

    private static TcpConnectionRecord Ended(TcpConnectionRecord record, TcpCapture capture, int socket, Sighting sighting, DescriptorCaptureContext context)
    {
        byte[] received = new byte[TcpRepair.Count(socket, TcpRepair.SIOCINQ) + 1];
        int length = (int)Linux.Sockets.PeekStream(socket, received).OrThrow("recvfrom(MSG_PEEK)");
        // Nobody lists the numbers of a connection that has ended: is there something behind a mark?
        bool urgent = (Poll.Events(socket) & Poll.POLLPRI) != 0 || TcpRepair.Count(socket, TcpRepair.SIOCATMARK) != 0 || length > 0 && capture.ReadBehind(socket, length, 1).Length > 0;
        if (urgent) throw new CaptureRefused(sighting, "its TCP connection has ended with urgent (out-of-band) data to be read, which is not carried", "checkpoint when the program has read it, or closed the socket");
        return record with { ReceivedLength = length, Received = Store(context, $"tcp-{record.Id}-received", received.AsMemory(0, length)) };
    }

    private static TcpConnectionRecord Alive(TcpConnectionRecord record, TcpCapture capture, int socket, Sighting sighting, DescriptorCaptureContext context)
    {
        RepairedState state = capture.Read(sighting);
        TcpPhase phase = Phase(state.Info.State);
        if (phase != record.Phase) throw new CaptureRefused(sighting, "its TCP connection changed while it was looked at", "try again");
        (SysResult connected, byte[] peer) = PeerOf(socket, state.Info.State);
        connected.OrThrow("getpeername", $"process {sighting.Pid}");
        int fin = phase is TcpPhase.FinWait1 or TcpPhase.LastAck or TcpPhase.Closing ? 1 : 0;
        bool finUnsent = fin == 1 && state.Unsent > 0;
        if (phase == TcpPhase.SynSent && state.Written.Length > 0)
            throw new CaptureRefused(sighting, "it has sent data with its first segment (TCP Fast Open), which is not carried", "checkpoint when the connection is established, or start the program without TCP Fast Open");
        if (state.Written.Length != (phase == TcpPhase.SynSent ? 0 : state.Unacknowledged - fin))
            throw new CaptureRefused(sighting, $"its TCP connection has {state.Written.Length} bytes to be acknowledged where {state.Unacknowledged - fin} were expected", "try again");
        bool finReceived = phase is TcpPhase.CloseWait or TcpPhase.LastAck or TcpPhase.Closing;
        // The FIN waits too, until the program has read end of file.
        int waiting = Math.Max(0, capture.Waiting(sighting) - (finReceived ? 1 : 0));
        (byte[] received, int urgentAt, bool urgentRead) = TcpUrgent.Complete(capture, socket, state.Received, waiting) ?? throw new CaptureRefused(sighting,
            $"urgent (out-of-band) data stands between the bytes that wait to be read ({state.Received.Length} of {waiting} can be seen), which takes Linux 6.9 to be carried", "checkpoint when the program has read it");
        return record with
        {
            Peer = peer,
            ReceivingShutDown = (Poll.Events(socket) & Poll.POLLRDHUP) != 0 && phase is TcpPhase.Established or TcpPhase.FinWait1 or TcpPhase.FinWait2,
            WriteSequence = state.WriteSequence,
            ReceiveSequence = state.ReceiveSequence,
            Received = Store(context, $"tcp-{record.Id}-received", received),
            ReceivedLength = received.Length,
            UrgentAt = urgentAt,
            UrgentRead = urgentRead,
            Written = Store(context, $"tcp-{record.Id}-written", state.Written),
            WrittenLength = state.Written.Length,
            UnsentLength = state.Unsent - (finUnsent ? 1 : 0),
            FinUnsent = finUnsent,
            MaximumSegment = state.MaximumSegment,
            SendScale = state.Info.WindowScaling ? state.Info.SendScale : -1,
            ReceiveScale = state.Info.WindowScaling ? state.Info.ReceiveScale : -1,
            SelectiveAcknowledgement = state.Info.SelectiveAcknowledgement,
            Timestamps = state.Info.Timestamps,
            Timestamp = state.Timestamp,
            Window = state.Window,
            Hold = capture.Name,
        };
    }

    private static string? Store(DescriptorCaptureContext context, string name, ReadOnlyMemory<byte> bytes) => bytes.Length == 0 ? null : context.StoreBytes(name, bytes);

    public override void Plan(Description description, PlanContext context) => TcpPlan.Check((TcpConnectionRecord)description, context);

    public override int Rebuild(Description description, RebuildContext context) => TcpRestoration.Of(context).Make((TcpConnectionRecord)description);
}
