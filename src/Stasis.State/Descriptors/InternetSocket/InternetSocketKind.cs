using System.Buffers.Binary;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using Stasis.State.Descriptors.TcpConnection;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// Internet sockets that have no conversation of their own: TCP listeners, bound and unbound ones, UDP, UDP-Lite, ping and raw sockets.
/// Everything is asked of a duplicate of the descriptor. TCP connections are another kind.
/// </summary>
public sealed class InternetSocketKind : DescriptorKind
{
    private const int TCP_INFO = 11;

    public override string Name => "internet socket";
    public override Type RecordType => typeof(InternetSocketRecord);

    public override bool Recognizes(Sighting sighting) =>
        SocketSight.Of(sighting) is { Family: AF_INET or AF_INET6 } sight && IsCarried(sight.Type, sight.Protocol);

    private static bool IsCarried(int type, int protocol) => type switch
    {
        SOCK_STREAM => protocol is IPPROTO_TCP or IPPROTO_MPTCP,
        SOCK_DGRAM => protocol is IPPROTO_UDP or IPPROTO_UDPLITE or IPPROTO_ICMP or IPPROTO_ICMPV6,
        SOCK_RAW => protocol is >= 0 and <= 255,
        _ => false,
    };

    private static string Words(int type, int protocol) => (type, protocol) switch
    {
        (SOCK_STREAM, IPPROTO_MPTCP) => "MPTCP socket",
        (SOCK_STREAM, _) => "TCP socket",
        (SOCK_RAW, _) => $"raw socket of protocol {protocol}",
        (_, IPPROTO_UDP) => "UDP socket",
        (_, IPPROTO_UDPLITE) => "UDP-Lite socket",
        _ => "ping socket",
    };

    /// <summary>What struct tcp_info tells of a socket that is not connected (net/ipv4/tcp.c, tcp_get_info): of a listener, clients waiting and backlog.</summary>
    private readonly record struct TcpState(int State, uint Waiting, uint Backlog)
    {
        public static TcpState Of(int socket)
        {
            Span<byte> info = stackalloc byte[104];
            info.Clear();
            Linux.Sockets.GetOption(socket, SOL_TCP, TCP_INFO, info).OrThrow("getsockopt(TCP_INFO)");
            // tcpi_state, and behind six more bytes: rto, ato, snd_mss, rcv_mss, tcpi_unacked, tcpi_sacked
            return new TcpState(info[0], BinaryPrimitives.ReadUInt32LittleEndian(info[24..]), BinaryPrimitives.ReadUInt32LittleEndian(info[28..]));
        }
    }

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return;
        using var own = new DescriptorHandle(taken.Descriptor);
        SocketSight sight = SocketSight.Of(sighting);
        if (sight.Type == SOCK_STREAM)
        {
            if (sight.Protocol == IPPROTO_MPTCP) Multipath.Examine(own.Number, sighting, context);
            ExamineTcp(own.Number, sighting, context);
            SocketSight.RefuseSigned(sighting, own.Number, context);
        }
        else ExamineDatagrams(own.Number, sighting, context);
        if (ReuseportGroup.Of(own.Number).IsExtended)
            context.Refuse(sighting, "an eBPF program chooses among the sockets of its address (SO_ATTACH_REUSEPORT_EBPF), which can't be read back", "start the program without it, or let it use a classic BPF program");
        SocketOptions.Examine(own.Number, sighting, context);
    }

    private static void ExamineTcp(int socket, Sighting sighting, ExamineContext context)
    {
        TcpState state = TcpState.Of(socket);
        if (state.State == TCP_LISTEN) Arrivals.Examine(sighting, socket, Linux.Sockets.Name(socket).Address, (int)state.Waiting, context);
    }

    private static void ExamineDatagrams(int socket, Sighting sighting, ExamineContext context)
    {
        SocketSight sight = SocketSight.Of(sighting);
        byte[] address = Linux.Sockets.Name(socket).Address;
        int events = Poll.Events(socket);
        if ((events & Poll.POLLERR) != 0 && Seen(context, () => UdpQueue.IsCarried(sight) ? UdpErrors.Look(socket, sight.Family).Obstacle : "") is { } unseen)
            context.RefuseForNow(sighting, $"an error waits to be read at {Words(address)}{(unseen.Length > 0 ? ": " : "")}{unseen}", "checkpoint when the program has read it");
        if ((events & Poll.POLLIN) != 0)
        {
            string? obstacle = UdpQueue.IsCarried(sight) ? UdpQueue.Obstacle(socket, address) : Seen(context, () => RawQueue.Look(socket, sight).Obstacle) is { } why ? $"packets wait to be read at this {Words(sight.Type, sight.Protocol)} ({why})" : null;
            if (obstacle is not null) context.RefuseForNow(sighting, $"{obstacle} at {Words(address)}", "checkpoint when the program has read them");
        }
        if (HasUnsent(socket) && Seen(context, () => UdpQueue.IsCarried(sight) && UdpCork.Is(socket) ? UdpCork.Obstacle(socket) : "") is { } obstructed)
            context.RefuseForNow(sighting, $"a packet of {Words(address)} is not sent yet (UDP_CORK, MSG_MORE, a slow network){(obstructed.Length > 0 ? ": " : "")}{obstructed}", "try again in a moment");
    }

    private static bool HasUnsent(int socket)
    {
        const ulong SIOCOUTQ = 0x5411; // man 7 udp
        int unsent = 0;
        return !Files.IoControl(socket, SIOCOUTQ, ref unsent).Failed && unsent > 0;
    }

    // What only the kernel's own memory tells; null when that has no objection.
    private static string? Seen(ExamineContext context, Func<string?> look)
    {
        if (KernelSight.Unavailable() is { } why) return $"it can't be looked at: {why}";
        try { return look(); }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EOPNOTSUPP) { return $"it can't be looked at: {refusal.Message}"; }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EFAULT) { return context.Frozen ? "it changes just now" : null; }
    }

    private static string Words(byte[] address) => address.Length >= 16 ? InternetAddress.Words(address) : "";

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        SocketSight sight = SocketSight.Of(sighting);
        using DescriptorHandle own = sighting.Take();
        (SysResult named, byte[] address) = Linux.Sockets.Name(own.Number);
        named.OrThrow("getsockname", $"process {sighting.Pid}");
        TcpState state = sight.Type == SOCK_STREAM ? TcpState.Of(own.Number) : default;
        (byte[] content, InternetDatagram[] datagrams) = UdpQueue.IsCarried(sight) ? UdpQueue.Look(sighting, context.Examined) : ([], []);
        if (datagrams.Any(one => InternetAddress.IsLinkLocal(InternetAddress.HostOf(one.Sender)) || InternetAddress.IsLinkLocal(one.Destination)))
            throw new CaptureRefused(sighting, $"UDP packets wait at {Words(address)} that are of an address which means something on its network interface only", "checkpoint when the program has read them");
        List<byte[]> packets = RawQueue.IsCarried(sight) && (Poll.Events(own.Number) & Poll.POLLIN) != 0 ? Packets(own.Number, sighting, sight) : [];
        ReuseportGroup group = ReuseportGroup.Of(own.Number);
        bool datagram = UdpQueue.IsCarried(sight);
        (byte[] Content, byte[] Destination)? corked = datagram && HasUnsent(own.Number) ? UdpCork.Look(own.Number, sight.Family) : null;
        (InternetError[] errors, Errno next, _) = datagram && (Poll.Events(own.Number) & Poll.POLLERR) != 0 ? UdpErrors.Look(own.Number, sight.Family) : ([], Errno.None, null);
        return new InternetSocketRecord
        {
            GroupPosition = group.Position,
            GroupProgram = group.Program,
            Id = id,
            Flags = sighting.Flags,
            Family = sight.Family,
            Type = sight.Type,
            Protocol = sight.Protocol,
            Address = InternetAddress.IsUnset(address) || sight.Type == SOCK_RAW && InternetAddress.HasNoHost(address) ? [] : address,
            Content = datagrams.Length > 0 ? context.StoreBytes($"udp-{id}", content) : packets.Count > 0 ? context.StoreBytes($"raw-{id}", (byte[])[.. packets.SelectMany(packet => packet)]) : null,
            Datagrams = datagrams,
            Packets = [.. packets.Select(packet => packet.Length)],
            Corked = corked is { } begun ? new CorkedDatagram { Length = begun.Content.Length, Destination = begun.Destination, Content = begun.Content.Length > 0 ? context.StoreBytes($"corked-{id}", begun.Content) : null } : null,
            Errors = errors,
            NextError = (int)next,
            Memberships = sight.Type == SOCK_STREAM ? [] : Multicast.Of(own.Number, sight.Family),
            Peer = sight.Type != SOCK_STREAM && Linux.Sockets.PeerName(own.Number) is { Result.Failed: false } peer ? peer.Address : [],
            Listening = state.State == TCP_LISTEN,
            Clients = state.State == TCP_LISTEN ? Clients(id, own.Number, sighting, context) : [],
            Backlog = state.State == TCP_LISTEN ? checked((int)state.Backlog) : 0,
            Options = SocketOptions.Capture(own.Number, sight.Family, sight.Type, sight.Protocol),
        };
    }

    private static List<byte[]> Packets(int own, Sighting sighting, SocketSight sight)
    {
        (List<byte[]> packets, string? obstacle) = RawQueue.Look(own, sight);
        return obstacle is null ? packets : throw new CaptureRefused(sighting, $"packets wait to be read at this {Words(sight.Type, sight.Protocol)} ({obstacle})", "checkpoint when the program has read them");
    }

    private static UnacceptedClient[] Clients(int id, int own, Sighting sighting, DescriptorCaptureContext context)
    {
        List<(byte[] Address, byte[] Peer)> carried = [.. Arrivals.CarriedOf(context.Examined).Where(pair => InternetAddress.Port(pair.Address) == InternetAddress.Port(Linux.Sockets.Name(own).Address))];
        if (carried.Count == 0) return [];
        TcpCapture capture = context.Frozen.Get(() => new TcpCapture(context.Examined));
        bool IsCarried(UnacceptedClient client) => carried.Exists(pair => pair.Peer.AsSpan().SequenceEqual(client.Peer) && pair.Address.AsSpan().SequenceEqual(client.Address));
        List<UnacceptedClient> clients = [];
        foreach ((UnacceptedClient Client, byte[] Content)? one in AcceptQueue.Look(own))
        {
            if (one is not { } found) throw new CaptureRefused(sighting, "a client that waits to be accepted can't be looked at", "try again");
            if (!IsCarried(found.Client)) continue;
            clients.Add(found.Client with { Hold = capture.Name, Content = found.Content.Length == 0 ? null : context.StoreBytes($"client-{id}-{clients.Count}", found.Content) });
        }
        return [.. clients, .. AcceptQueue.Deferred(own).Where(IsCarried).Select(client => client with { Hold = capture.Name })];
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (InternetSocketRecord)description;
        string what = Words(record.Type, record.Protocol);
        if (Damage(record, context) is { } damage)
        {
            context.Refuse(record, what, damage, "the image is damaged; take another checkpoint");
            return;
        }
        foreach (MulticastMembership membership in record.Memberships.Where(membership => NetworkInterfaces.Index(membership.Interface) is null))
            context.Refuse(record, what, $"it hears a multicast group on the network interface {membership.Interface}, which this host does not have", "restart on a host with an interface of that name");
        if (record.Protocol == IPPROTO_MPTCP && Multipath.Missing(record.Family) is { } missing)
        {
            context.Refuse(record, what, $"this kernel makes no MPTCP sockets ({missing})", "switch them on: sysctl net.mptcp.enabled=1");
            return;
        }
        if (record.Corked is { } corked && UdpCork.Unreachable(corked, record) is { } unreachable)
            context.Refuse(record, what, $"a packet of it is not sent yet, and this host has no way to {InternetAddress.Words(corked.Destination)} ({unreachable})", "connect it to that network");
        foreach (UnacceptedClient client in record.Clients.Where(client => !client.Closed)) TcpPlan.Check(client, record, context);
        if (record.SharesAddress && record.Clients.Any(client => !client.Closed) && SockDiagInet.Listening().Exists(other => Arrivals.IsSame(other.Address, record.Address)))
            context.Refuse(record, what, $"clients wait at {InternetAddress.Words(record.Address)}, where another program listens too (SO_REUSEPORT), which would get some of them", "end that program first, or restart with --tcp close, which ends these connections");
        if (record.Address.Length == 0) return;
        // The only way to know is to try: a socket with the same options, bound for a moment. It does not listen, which would take in clients
        // and reset them; the kernel asks for the same at both.
        using var probe = new DescriptorHandle(Create(record));
        SysResult bound = TryBind(probe.Number, record);
        if (!bound.Failed) return;
        string address = InternetAddress.Words(record.Address);
        (string why, string advice) = bound.Errno switch
        {
            Errno.EADDRINUSE => ($"the address {address} is in use", "end the program that has it first (the original may still run)"),
            Errno.EADDRNOTAVAIL => ($"this host does not have the address {address}", "give it to a network interface of this host, or restart where it is"),
            Errno.EACCES or Errno.EPERM => ($"the address {address} may not be bound", "run stasis as root, or with CAP_NET_BIND_SERVICE"),
            _ => ($"the address {address} can't be bound ({bound.Errno})", "restart on a host with the same network"),
        };
        context.Refuse(record, what, why, advice);
    }

    private static string? Damage(InternetSocketRecord record, PlanContext context)
    {
        if (record.Family is not (AF_INET or AF_INET6)) return $"{record.Family} is no family of internet addresses";
        if (!IsCarried(record.Type, record.Protocol)) return $"its protocol {record.Protocol} is unknown";
        if (record.Address.Length > 0 && !InternetAddress.IsOf(record.Address, record.Family)) return "its address has the wrong form";
        if (record.Peer.Length > 0 && (record.Type == SOCK_STREAM || !InternetAddress.IsOf(record.Peer, record.Peer.Length == 16 ? AF_INET : AF_INET6))) return "its peer's address has the wrong form";
        if (record.Backlog < 0 || record.Listening && record.Type != SOCK_STREAM) return "a value is out of range";
        return ReuseportGroup.Damage(record) ?? UdpQueue.Damage(record, context) ?? RawQueue.Damage(record, context) ?? UdpCork.Damage(record.Corked, record, context) ?? UdpErrors.Damage(record) ?? AcceptQueue.Damage(record.Clients, record, context) ?? Multicast.Damage(record.Memberships) ?? SocketOptions.Damage(record.Options);
    }

    private static int Create(InternetSocketRecord record)
    {
        int socket = Linux.Sockets.Create(record.Family, record.Type, record.Protocol).OrThrowDescriptor("socket");
        SocketOptions.Set(socket, record.Options, SocketOptionPart.BeforeContent);
        return socket;
    }

    /// <summary>
    /// Connections that ended when the original did keep a listener's address for a minute (TIME_WAIT). So a listener is bound with
    /// SO_REUSEADDR, which passes over those and never over another listener; then the option is as the program had it.
    /// </summary>
    private static SysResult TryBind(int socket, InternetSocketRecord record)
    {
        if (record.Listening) Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_REUSEADDR, 1).OrThrow("setsockopt(SO_REUSEADDR)");
        SysResult bound = Linux.Sockets.Bind(socket, record.Address);
        if (bound.Errno != Errno.EADDRINUSE || record.Type != SOCK_STREAM) return bound;
        // Those of a listener without the option do not let it pass.
        TimeWait.EndAt(InternetAddress.Port(record.Address));
        return Linux.Sockets.Bind(socket, record.Address);
    }

    private static void Listen(int socket, InternetSocketRecord record)
    {
        Linux.Sockets.Listen(socket, record.Backlog).OrThrow($"listen at {InternetAddress.Words(record.Address)}");
        bool reuse = record.Options.Any(option => option is { Level: SOL_SOCKET, Name: SO_REUSEADDR });
        if (!reuse) Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_REUSEADDR, 0).OrThrow("setsockopt(SO_REUSEADDR)");
        ReuseportGroup.Attach(socket, record);
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (InternetSocketRecord)description;
        foreach (int earlier in ReuseportGroup.Earlier(record, context.Descriptions)) context.DescriptorOf(earlier);
        int socket = Create(record);
        if (record.Address.Length > 0) TryBind(socket, record).OrThrow($"bind to {InternetAddress.Words(record.Address)}");
        if (record.Clients.Length > 0)
        {
            TcpRestoration.Of(context);
            // Behind its last step, which lets their segments pass.
            context.BeforeResume.Add(() => AcceptQueue.Wake(record));
        }
        if (record.Listening) RestartArrivals.Keep(context, socket, record, own => Listen(own, record));
        else ReuseportGroup.Attach(socket, record);
        UdpQueue.Fill(socket, record, context);
        RawQueue.Fill(socket, record, context);
        Multicast.Join(socket, record.Memberships);
        if (record.Peer.Length > 0) Linux.Sockets.Connect(socket, record.Peer).OrThrow($"connect of a {Words(record.Type, record.Protocol)} to {InternetAddress.Words(record.Peer)}");
        UdpErrors.BringBack(socket, record);
        if (record.Corked is { } corked) UdpCork.Write(socket, corked, context);
        return socket;
    }
}
