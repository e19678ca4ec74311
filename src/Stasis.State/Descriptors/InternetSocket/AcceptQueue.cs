using System.Net;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// The clients of a TCP listener that no program has accepted. They have no descriptor, and accept(2), which would make one, can't be taken
/// back: so they are read where the kernel has them (include/net/request_sock.h), and put back by <see cref="TcpAdoption"/>.
/// </summary>
internal static class AcceptQueue
{
    private const string Sock = "inet_conn.icsk_inet.sk", Common = $"{Sock}.__sk_common", Of = $"{Common}.", Received = "rx_opt";
    private const int TCP_CLOSE_WAIT = 8, TCP_SAVE_SYN = 27, MostClients = 1 << 16, EcnOk = 1;

    /// <summary>Why the clients of this listener of ours can't be carried; null when they can.</summary>
    public static string? Obstacle(int listener)
    {
        if (Linux.Sockets.GetOption(listener, SOL_SOCKET, SO_PROTOCOL).Value != IPPROTO_TCP) return "it is an MPTCP listener";
        Span<byte> device = stackalloc byte[16];
        if (Linux.Sockets.GetOption(listener, SOL_SOCKET, 25 /* SO_BINDTODEVICE */, device).Value > 0) return "it is bound to a network interface";
        if (Linux.Sockets.GetOption(listener, SOL_TCP, TCP_SAVE_SYN).Raw > 0) return "first segments are kept for the program (TCP_SAVE_SYN)";
        if (NfTables.Available().Failed) return "nf_tables can't be used";
        return TcpAdoption.Unavailable();
    }

    /// <summary>The first is the next to be accepted; null for one that can't be put back. Throws <see cref="KernelRefusal"/> where the queue changes meanwhile.</summary>
    public static List<(UnacceptedClient Client, byte[] Content)?> Look(int listener)
    {
        List<(UnacceptedClient, byte[])?> clients = [];
        for (ulong at = KernelSocket.Of(listener, "tcp_sock")["inet_conn.icsk_accept_queue.rskq_accept_head"]; at != 0;)
        {
            if (clients.Count >= MostClients) throw new KernelRefusal("read of a queue of clients", Errno.EFAULT);
            var request = new KernelObject("request_sock", at);
            clients.Add(request["sk"] is var child and not 0 ? Client(new KernelObject("tcp_sock", child)) : null);
            at = request["dl_next"];
        }
        return clients;
    }

    private static (UnacceptedClient, byte[])? Client(KernelObject child)
    {
        int state = (int)child[$"{Common}.skc_state"] & 0xff;
        if (state is not (TCP_ESTABLISHED or TCP_CLOSE_WAIT or TCP_CLOSE) || child["urg_data"] != 0 || child["snd_nxt"] != child["snd_una"]) return null;
        if (KernelSight.Has("tcp_sock", "tcp_usec_ts") && child.Bit("tcp_usec_ts")) return null; // a route asks for timestamps of another clock
        uint from = (uint)child["copied_seq"], until = (uint)child["rcv_nxt"] - (state == TCP_CLOSE_WAIT ? 1u : 0);
        if (Content(child, from, until, state == TCP_CLOSE) is not { } content) return null;
        byte[] peer = Address(child, Of, "skc_daddr", "skc_v6_daddr", child.Read($"{Common}.skc_dport", 2));
        if (InternetAddress.IsLinkLocal(InternetAddress.HostOf(peer))) return null; // its network interface would have to be told too
        bool scaled = child.Bits($"{Received}.wscale_ok", 1) != 0;
        int scale = scaled ? child.Bits($"{Received}.snd_wscale", 4) : -1;
        return (new UnacceptedClient
        {
            Address = Address(child, Of, "skc_rcv_saddr", "skc_v6_rcv_saddr", child.Read("inet_conn.icsk_inet.inet_sport", 2)),
            Peer = peer,
            ReceiveSequence = from,
            SendSequence = (uint)child["snd_nxt"],
            Length = content.Length,
            Finished = state == TCP_CLOSE_WAIT,
            Reset = state == TCP_CLOSE,
            Window = (int)Math.Min(child["snd_wnd"] >> Math.Max(scale, 0), ushort.MaxValue),
            Agreement = new TcpAgreement((uint)child[$"{Received}.ts_recent"], unchecked(Clock() + (uint)child["tsoffset"]), child.Bits($"{Received}.tstamp_ok", 1) != 0,
                (int)child[$"{Received}.mss_clamp"], scale, scaled ? child.Bits($"{Received}.rcv_wscale", 4) : -1, child.Bits($"{Received}.sack_ok", 3) != 0, ((int)child["ecn_flags"] & EcnOk) != 0),
        }, content);
    }

    /// <summary>
    /// Clients whose handshake is over for them, and for the kernel when their first bytes come (TCP_DEFER_ACCEPT): they are put back as clients that
    /// have sent nothing, as which the kernel would let them through as well, later.
    /// </summary>
    public static List<UnacceptedClient> Deferred(int listener)
    {
        const int TCP_NEW_SYN_RECV = 12;
        ulong ours = KernelSocket.Of(listener, "tcp_sock").Address;
        List<UnacceptedClient> clients = [];
        foreach (KernelObject common in KernelSight.TcpSockets())
        {
            if (((int)common["skc_state"] & 0xff) != TCP_NEW_SYN_RECV) continue;
            var request = new KernelObject("tcp_request_sock", common.Address);
            if (common["skc_listener"] != ours || !request.Bit("req.acked")) continue;
            byte[] peer = Address(common, "", "skc_daddr", "skc_v6_daddr", common.Read("skc_dport", 2));
            if (InternetAddress.IsLinkLocal(InternetAddress.HostOf(peer))) continue;
            bool scaled = request.Bit("req.wscale_ok");
            int scale = scaled ? request.Bits("req.snd_wscale", 4) : -1;
            ulong port = common["skc_num"];
            clients.Add(new UnacceptedClient
            {
                Address = Address(common, "", "skc_rcv_saddr", "skc_v6_rcv_saddr", [(byte)(port >> 8), (byte)port]),
                Peer = peer,
                ReceiveSequence = (uint)request["rcv_isn"] + 1,
                SendSequence = (uint)request["snt_isn"] + 1,
                Window = ushort.MaxValue >> Math.Max(scale, 0), // its first segment's, which was not kept; its next one tells
                Agreement = new TcpAgreement((uint)request["req.req.ts_recent"], unchecked(Clock() + (uint)request["ts_off"]), request.Bit("req.tstamp_ok"),
                    (int)request["req.req.mss"], scale, scaled ? request.Bits("req.rcv_wscale", 4) : -1, request.Bit("req.sack_ok"), request.Bit("req.ecn_ok")),
            });
        }
        return clients;
    }

    // What a connection's timestamps count from (include/net/tcp.h, tcp_clock_ts), asked of one of ours that has no offset.
    private static uint Clock()
    {
        using var probe = new DescriptorHandle(Linux.Sockets.Create(AF_INET, SOCK_STREAM, IPPROTO_TCP).OrThrowDescriptor("socket"));
        TcpRepair.Set(probe.Number, TcpRepair.On).OrThrow("setsockopt(TCP_REPAIR)");
        return (uint)Linux.Sockets.GetOption(probe.Number, SOL_TCP, TcpRepair.TCP_TIMESTAMP).OrThrow("getsockopt(TCP_TIMESTAMP)");
    }

    private static byte[] Address(KernelObject socket, string common, string four, string six, byte[] port)
    {
        byte[] host = socket.Read(common + four, 4);
        if (socket[$"{common}skc_family"] == AF_INET6)
        {
            byte[] whole = socket.Read(common + six, 16);
            host = whole.AsSpan().TrimStart((byte)0).IsEmpty ? new IPAddress(host).MapToIPv6().GetAddressBytes() : whole;
        }
        return InternetAddress.Of(host, port[0] << 8 | port[1]);
    }

    // In order, perhaps with parts twice; of one that is gone the queue tells how much there is.
    private static byte[]? Content(KernelObject child, uint from, uint until, bool reset)
    {
        var content = new MemoryStream();
        uint next = from;
        foreach (KernelObject packet in KernelSocket.Queue(child, $"{Sock}.sk_receive_queue"))
        {
            uint sequence = (uint)new KernelObject("tcp_skb_cb", packet.At("cb"))["seq"];
            if (packet["len"] == 0) continue; // a FIN
            if (KernelSocket.Bytes(packet, packet["data"] - packet["head"]) is not { } bytes || unchecked((int)(next - sequence)) is var known && (known < 0 || known > bytes.Length)) return null;
            content.Write(bytes.AsSpan(known));
            next = sequence + (uint)bytes.Length;
        }
        return next == until || reset && unchecked((int)(until - next)) is 0 or 1 ? content.ToArray() : null;
    }

    public static string? Damage(UnacceptedClient[] clients, InternetSocketRecord record, PlanContext context)
    {
        const int MostContent = 1 << 30;
        if (clients.Length == 0) return null;
        if (!record.Listening || clients.Length > MostClients) return "it can't have clients that wait";
        return clients.Any(one => !InternetAddress.IsOf(one.Address, record.Family) || !InternetAddress.IsOf(one.Peer, record.Family) || one.Length is < 0 or > MostContent
            || (one.Length == 0 ? one.Content is not null : one.Content is null || !context.HasStored(one.Content)) || one.Window is < 0 or > ushort.MaxValue
            || one.Agreement.MaximumSegment is <= 0 or > ushort.MaxValue || one.Agreement.SendScale is < -1 or > 14 || one.Agreement.ReceiveScale is < -1 or > 14
            || one.Hold.Length > 0 && !TcpConnection.TcpPlan.IsHold(one.Hold)) ? "a client that waits has the wrong form" : null;
    }

    /// <summary>
    /// For a listener that listens by now. Where several share its address (SO_REUSEPORT) the kernel gives each client to one of them, as it did at first: to the
    /// same one, or after a boot, which changes its hashes, perhaps to another.
    /// </summary>
    /// <param name="group">All of them that share its address, itself included; they listen too.</param>
    public static void PutBack(int listener, IReadOnlyList<int> group, InternetSocketRecord record, RebuildContext context)
    {
        if (group.Count > 1) foreach (int one in group) Linux.Sockets.Listen(one, MostClients).OrThrow("listen"); // room for another's
        List<UnacceptedClient> clients = [.. record.Clients.Where(client => !client.Closed)];
        // A listener of IPv6 may have clients of both; one program at a time, as each would take the other's.
        TcpAdoption? adoption = null;
        bool? four = null;
        try
        {
            foreach (UnacceptedClient client in clients)
            {
                if (four != IsFour(client))
                {
                    adoption?.Dispose();
                    adoption = null;
                    adoption = new TcpAdoption((four = IsFour(client)).Value);
                }
                // The original's buffer has grown with what came; a connection begins with that of its listener.
                const int FirstWindow = 32 * 1024;
                List<ReceiveBuffer> room = client.Length > FirstWindow ? [.. group.Where(one => !ReceiveBuffer.IsFixed(one)).Select(one => new ReceiveBuffer(one, 4 * client.Length))] : [];
                try { adoption!.Adopt(client.Peer, client.Address, client.ReceiveSequence, client.SendSequence, client.Window, client.Agreement); }
                finally { foreach (ReceiveBuffer one in room) one.Dispose(); }
                Deliver(client, client.Content is null ? [] : context.StoredBytes(client.Content));
            }
        }
        finally { adoption?.Dispose(); }
        UnacceptedClient? missing = null;
        if (!Pause.Until(() => (missing = Missing(clients, group)) is null))
            throw new KernelRefusal($"the client {InternetAddress.Words(missing!.Peer)}, which waited to be accepted at {InternetAddress.Words(record.Address)}, could not be put back whole", Errno.ENODATA);
    }

    private static string Pair(UnacceptedClient client) => $"{Convert.ToHexString(client.Peer)} {Convert.ToHexString(client.Address)}";

    // The first that is not there, or not whole; null when all are.
    private static UnacceptedClient? Missing(List<UnacceptedClient> clients, IReadOnlyList<int> group)
    {
        Dictionary<string, UnacceptedClient> there = new(StringComparer.Ordinal);
        try
        {
            foreach ((UnacceptedClient Client, byte[] Content)? one in group.SelectMany(Look))
                if (one is { } found) there[Pair(found.Client)] = found.Client;
        }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EFAULT) { return clients[0]; } // it changes just now
        return clients.Find(client => !there.TryGetValue(Pair(client), out UnacceptedClient? found) || found.Length != client.Length || found.Finished != client.Finished || found.Reset != client.Reset);
    }

    /// <summary>
    /// Has each connection send a segment to its client: the network learns where its address is now, and the client that it is heard. A segment of
    /// the client's that repeats its last number, as its kernel sends to see whether we are alive, is answered at once.
    /// </summary>
    public static void Wake(InternetSocketRecord record)
    {
        foreach (UnacceptedClient client in record.Clients.Where(client => !client.Closed && !client.Reset))
            TcpSegment.Deliver(client.Peer, client.Address, client.ReceiveSequence + (uint)client.Length + (client.Finished ? 1u : 0) - 1, client.SendSequence, TcpSegment.ACK, client.Window);
    }

    private static bool IsFour(UnacceptedClient client) => InternetAddress.HostOf(client.Peer) is var host && (host.Length == 4 || new IPAddress(host).IsIPv4MappedToIPv6);

    private static void Deliver(UnacceptedClient client, byte[] content)
    {
        const int Step = 15_000; // with its headers what four pages have room for
        void Segment(int at, int flags, ReadOnlySpan<byte> bytes) => TcpSegment.Deliver(client.Peer, client.Address, client.ReceiveSequence + (uint)at, client.SendSequence, flags, client.Window, bytes);
        for (int at = 0; at < content.Length; at += Step) Segment(at, TcpSegment.ACK, content.AsSpan(at, Math.Min(Step, content.Length - at)));
        if (client.Finished) Segment(content.Length, TcpSegment.FIN | TcpSegment.ACK, []);
        if (client.Reset) Segment(content.Length, TcpSegment.RST | TcpSegment.ACK, []);
    }
}
