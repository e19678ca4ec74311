using Stasis.Linux;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.Sockets;

/// <summary>A socket option whose value is not that of a new socket: level, name and value as setsockopt(2) takes them.</summary>
public sealed record SocketOption
{
    public required int Level { get; init; }
    public required int Name { get; init; }
    public required byte[] Value { get; init; }
}

/// <summary>A filter would stand in the way of a queue's content when that is put back.</summary>
public enum SocketOptionPart { All, BeforeContent, Filter }

/// <summary>
/// The options that all kinds of sockets share. Every option of the table is compared with that of a new socket of the same
/// family and type; what differs is recorded. Options that are not in the table are not taken from an image.
/// </summary>
public static class SocketOptions
{
    private const int SOL_ICMPV6 = 58, SOL_UDPLITE = 136, SOL_RAW = 255, SOL_PACKET = 263, SOL_NETLINK = 270;
    private const int Integer = 4, LongestHeader = 264 /* of 255 times 8 bytes, which nobody uses */, MaxFilterInstructions = 4096, MaxBuffer = 1 << 30;

    private sealed record Known(int Level, int Name, string Words, int Size = Integer);

    // include/uapi/asm-generic/socket.h, tcp.h, in.h, in6.h, udp.h, icmp.h, netlink.h. Left out: what a connection changes by itself (TCP_QUICKACK,
    // SO_INCOMING_CPU).
    private static readonly Known[] s_known =
    [
        new(SOL_SOCKET, 1, "SO_DEBUG"), new(SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"), new(SOL_SOCKET, 5, "SO_DONTROUTE"), new(SOL_SOCKET, 6, "SO_BROADCAST"),
        new(SOL_SOCKET, 9, "SO_KEEPALIVE"), new(SOL_SOCKET, 10, "SO_OOBINLINE"), new(SOL_SOCKET, 11, "SO_NO_CHECK"), new(SOL_SOCKET, 12, "SO_PRIORITY"),
        new(SOL_SOCKET, 13, "SO_LINGER", 8), new(SOL_SOCKET, 15, "SO_REUSEPORT"), new(SOL_SOCKET, SO_PASSCRED, "SO_PASSCRED"), new(SOL_SOCKET, 18, "SO_RCVLOWAT"),
        new(SOL_SOCKET, 20, "SO_RCVTIMEO", 16), new(SOL_SOCKET, 21, "SO_SNDTIMEO", 16), new(SOL_SOCKET, 25, "SO_BINDTODEVICE", 16), new(SOL_SOCKET, 29, "SO_TIMESTAMP"),
        new(SOL_SOCKET, 34, "SO_PASSSEC"), new(SOL_SOCKET, 35, "SO_TIMESTAMPNS"), new(SOL_SOCKET, 36, "SO_MARK"), new(SOL_SOCKET, 37, "SO_TIMESTAMPING"),
        new(SOL_SOCKET, 40, "SO_RXQ_OVFL"), new(SOL_SOCKET, SO_PEEK_OFF, "SO_PEEK_OFF"), new(SOL_SOCKET, 45, "SO_SELECT_ERR_QUEUE"), new(SOL_SOCKET, 46, "SO_BUSY_POLL"),
        new(SOL_SOCKET, 47, "SO_MAX_PACING_RATE", 8), new(SOL_SOCKET, 60, "SO_ZEROCOPY"), new(SOL_SOCKET, 69, "SO_PREFER_BUSY_POLL"), new(SOL_SOCKET, 70, "SO_BUSY_POLL_BUDGET"),
        new(SOL_SOCKET, 61, "SO_TXTIME", 8), new(SOL_SOCKET, 63, "SO_TIMESTAMP_NEW"), new(SOL_SOCKET, 64, "SO_TIMESTAMPNS_NEW"), new(SOL_SOCKET, 75, "SO_RCVMARK"), new(SOL_SOCKET, 82, "SO_RCVPRIORITY"),
        new(SOL_SOCKET, 84, "SO_INQ"), new(SOL_SOCKET, 73, "SO_RESERVE_MEM"), new(SOL_SOCKET, 74, "SO_TXREHASH"), new(SOL_SOCKET, 76, "SO_PASSPIDFD"), new(SOL_SOCKET, 83, "SO_PASSRIGHTS"),
        new(SOL_TCP, 1, "TCP_NODELAY"), new(SOL_TCP, 2, "TCP_MAXSEG"), new(SOL_TCP, 3, "TCP_CORK"), new(SOL_TCP, 4, "TCP_KEEPIDLE"), new(SOL_TCP, 5, "TCP_KEEPINTVL"),
        new(SOL_TCP, 6, "TCP_KEEPCNT"), new(SOL_TCP, 7, "TCP_SYNCNT"), new(SOL_TCP, 8, "TCP_LINGER2"), new(SOL_TCP, 9, "TCP_DEFER_ACCEPT"), new(SOL_TCP, 10, "TCP_WINDOW_CLAMP"),
        new(SOL_TCP, 13, "TCP_CONGESTION", 16), new(SOL_TCP, 16, "TCP_THIN_LINEAR_TIMEOUTS"), new(SOL_TCP, 18, "TCP_USER_TIMEOUT"), new(SOL_TCP, 23, "TCP_FASTOPEN"),
        new(SOL_TCP, 25, "TCP_NOTSENT_LOWAT"), new(SOL_TCP, 27, "TCP_SAVE_SYN"), new(SOL_TCP, 30, "TCP_FASTOPEN_CONNECT"), new(SOL_TCP, 34, "TCP_FASTOPEN_NO_COOKIE"),
        new(SOL_TCP, 36, "TCP_INQ"), new(SOL_TCP, 37, "TCP_TX_DELAY"), new(SOL_TCP, 33, "TCP_FASTOPEN_KEY", 32), new(SOL_TCP, 44, "TCP_RTO_MAX_MS"), new(SOL_TCP, 45, "TCP_RTO_MIN_US"),
        new(SOL_TCP, 46, "TCP_DELACK_MAX_US"),
        new(SOL_IP, 4, "IP_OPTIONS", 40), new(SOL_IP, 5, "IP_ROUTER_ALERT"), new(SOL_IP, 26, "IP_RECVERR_RFC4884"), new(SOL_IP, 1, "IP_TOS"), new(SOL_IP, 2, "IP_TTL"), new(SOL_IP, 6, "IP_RECVOPTS"), new(SOL_IP, 7, "IP_RETOPTS"), new(SOL_IP, 8, "IP_PKTINFO"), new(SOL_IP, 10, "IP_MTU_DISCOVER"),
        new(SOL_IP, 11, "IP_RECVERR"), new(SOL_IP, 12, "IP_RECVTTL"), new(SOL_IP, 13, "IP_RECVTOS"), new(SOL_IP, 15, "IP_FREEBIND"), new(SOL_IP, 18, "IP_PASSSEC"),
        new(SOL_IP, 19, "IP_TRANSPARENT"), new(SOL_IP, 20, "IP_RECVORIGDSTADDR"), new(SOL_IP, 21, "IP_MINTTL"), new(SOL_IP, 23, "IP_CHECKSUM"), new(SOL_IP, 24, "IP_BIND_ADDRESS_NO_PORT"),
        new(SOL_IP, 25, "IP_RECVFRAGSIZE"), new(SOL_IP, 32, "IP_MULTICAST_IF"), new(SOL_IP, 33, "IP_MULTICAST_TTL"), new(SOL_IP, 34, "IP_MULTICAST_LOOP"), new(SOL_IP, 49, "IP_MULTICAST_ALL"),
        new(SOL_IP, 50, "IP_UNICAST_IF"), new(SOL_IP, 51, "IP_LOCAL_PORT_RANGE"),
        new(SOL_IPV6, 54, "IPV6_HOPOPTS", LongestHeader), new(SOL_IPV6, 55, "IPV6_RTHDRDSTOPTS", LongestHeader), new(SOL_IPV6, 57, "IPV6_RTHDR", LongestHeader), new(SOL_IPV6, 59, "IPV6_DSTOPTS", LongestHeader),
        new(SOL_IPV6, 2, "IPV6_2292PKTINFO"), new(SOL_IPV6, 3, "IPV6_2292HOPOPTS"), new(SOL_IPV6, 4, "IPV6_2292DSTOPTS"), new(SOL_IPV6, 5, "IPV6_2292RTHDR"), new(SOL_IPV6, 8, "IPV6_2292HOPLIMIT"), new(SOL_IPV6, 11, "IPV6_FLOWINFO"),
        new(SOL_IPV6, 31, "IPV6_RECVERR_RFC4884"), new(SOL_IPV6, 33, "IPV6_FLOWINFO_SEND"), new(SOL_IPV6, 77, "IPV6_RECVFRAGSIZE"), new(SOL_IPV6, 16, "IPV6_UNICAST_HOPS"), new(SOL_IPV6, 17, "IPV6_MULTICAST_IF"), new(SOL_IPV6, 18, "IPV6_MULTICAST_HOPS"), new(SOL_IPV6, 19, "IPV6_MULTICAST_LOOP"),
        new(SOL_IPV6, 23, "IPV6_MTU_DISCOVER"), new(SOL_IPV6, 25, "IPV6_RECVERR"), new(SOL_IPV6, 26, "IPV6_V6ONLY"), new(SOL_IPV6, 29, "IPV6_MULTICAST_ALL"),
        new(SOL_IPV6, 49, "IPV6_RECVPKTINFO"), new(SOL_IPV6, 51, "IPV6_RECVHOPLIMIT"), new(SOL_IPV6, 53, "IPV6_RECVHOPOPTS"), new(SOL_IPV6, 56, "IPV6_RECVRTHDR"),
        new(SOL_IPV6, 58, "IPV6_RECVDSTOPTS"), new(SOL_IPV6, 60, "IPV6_RECVPATHMTU"), new(SOL_IPV6, 62, "IPV6_DONTFRAG"), new(SOL_IPV6, 66, "IPV6_RECVTCLASS"), new(SOL_IPV6, 67, "IPV6_TCLASS"),
        new(SOL_IPV6, 70, "IPV6_AUTOFLOWLABEL"), new(SOL_IPV6, 72, "IPV6_ADDR_PREFERENCES"), new(SOL_IPV6, 73, "IPV6_MINHOPCOUNT"), new(SOL_IPV6, 74, "IPV6_RECVORIGDSTADDR"),
        new(SOL_IPV6, 75, "IPV6_TRANSPARENT"), new(SOL_IPV6, 76, "IPV6_UNICAST_IF"), new(SOL_IPV6, 78, "IPV6_FREEBIND"),
        new(SOL_UDP, 1, "UDP_CORK"), new(SOL_UDP, 100, "UDP_ENCAP"), new(SOL_UDP, 101, "UDP_NO_CHECK6_TX"), new(SOL_UDP, 102, "UDP_NO_CHECK6_RX"), new(SOL_UDP, 103, "UDP_SEGMENT"),
        new(SOL_UDP, 104, "UDP_GRO"),
        new(SOL_UDPLITE, 10, "UDPLITE_SEND_CSCOV"), new(SOL_UDPLITE, 11, "UDPLITE_RECV_CSCOV"),
        new(SOL_IP, 3, "IP_HDRINCL"), new(SOL_IP, 22, "IP_NODEFRAG"), new(SOL_IPV6, 36, "IPV6_HDRINCL"), new(SOL_RAW, 1, "ICMP_FILTER"), new(SOL_RAW, 7, "IPV6_CHECKSUM"),
        new(SOL_ICMPV6, 1, "ICMPV6_FILTER", 32),
        new(SOL_PACKET, 8, "PACKET_AUXDATA"), new(SOL_PACKET, 9, "PACKET_ORIGDEV"), new(SOL_PACKET, 10, "PACKET_VERSION"), new(SOL_PACKET, 12, "PACKET_RESERVE"), new(SOL_PACKET, 14, "PACKET_LOSS"),
        new(SOL_PACKET, 15, "PACKET_VNET_HDR"), new(SOL_PACKET, 17, "PACKET_TIMESTAMP"), new(SOL_PACKET, 19, "PACKET_TX_HAS_OFF"), new(SOL_PACKET, 20, "PACKET_QDISC_BYPASS"),
        new(SOL_PACKET, 23, "PACKET_IGNORE_OUTGOING"),
        new(SOL_NETLINK, 3, "NETLINK_PKTINFO"), new(SOL_NETLINK, 4, "NETLINK_BROADCAST_ERROR"), new(SOL_NETLINK, 5, "NETLINK_NO_ENOBUFS"), new(SOL_NETLINK, 8, "NETLINK_LISTEN_ALL_NSID"),
        new(SOL_NETLINK, 10, "NETLINK_CAP_ACK"), new(SOL_NETLINK, 11, "NETLINK_EXT_ACK"), new(SOL_NETLINK, 12, "NETLINK_GET_STRICT_CHK"),
    ];

    /// <summary>What is not as in a new socket of this family, type and protocol, in the order in which it must be set.</summary>
    public static SocketOption[] Capture(int socket, int family, int type, int protocol)
    {
        using var fresh = new DescriptorHandle(Linux.Sockets.Create(family, type, protocol).OrThrowDescriptor($"socket({family}, {type}, {protocol})"));
        List<SocketOption> options = [];
        Span<byte> value = stackalloc byte[LongestHeader], common = stackalloc byte[LongestHeader];
        foreach (Known known in s_known)
        {
            value.Clear();
            common.Clear();
            SysResult got = Linux.Sockets.GetOption(socket, known.Level, known.Name, value[..known.Size]);
            if (got.Failed) continue;                                      // not an option of this family or kernel
            Linux.Sockets.GetOption(fresh.Number, known.Level, known.Name, common[..known.Size]);
            // A socket that is not connected shows its own smallest one when it has IP options, and takes none below this (net/ipv4/tcp.c, TCP_MIN_MSS).
            if (known is { Level: SOL_TCP, Name: TcpRepair.TCP_MAXSEG } && BitConverter.ToInt32(value) < 88) continue;
            if (!value.SequenceEqual(common)) options.Add(new SocketOption { Level = known.Level, Name = known.Name, Value = value[..(int)got.Value].ToArray() });
        }
        AddBuffers(socket, options);
        AddFilter(socket, options);
        return [.. options];
    }

    // The kernel shows twice what was asked for and grows buffers by itself unless they were set (man 7 socket, SO_BUF_LOCK).
    private static void AddBuffers(int socket, List<SocketOption> options)
    {
        const int SOCK_SNDBUF_LOCK = 1, SOCK_RCVBUF_LOCK = 2;
        SysResult locks = Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_BUF_LOCK);
        if (locks.Failed) return;
        foreach ((int bit, int name) in ((int, int)[])[(SOCK_SNDBUF_LOCK, SO_SNDBUF), (SOCK_RCVBUF_LOCK, SO_RCVBUF)])
        {
            if ((locks.Value & bit) == 0) continue;
            long size = Linux.Sockets.GetOption(socket, SOL_SOCKET, name).OrThrow("getsockopt of a buffer's size");
            options.Add(new SocketOption { Level = SOL_SOCKET, Name = name, Value = BitConverter.GetBytes((int)(size / 2)) });
        }
    }

    // getsockopt(SO_GET_FILTER) counts in instructions (net/core/filter.c, sk_get_filter).
    private static void AddFilter(int socket, List<SocketOption> options)
    {
        SysResult count = Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_ATTACH_FILTER, [], 0);
        if (count.Failed || count.Value is 0 or > MaxFilterInstructions) return;
        byte[] instructions = new byte[(int)count.Value * 8];
        Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_ATTACH_FILTER, instructions, (int)count.Value).OrThrow("getsockopt(SO_GET_FILTER)");
        options.Add(new SocketOption { Level = SOL_SOCKET, Name = SO_ATTACH_FILTER, Value = instructions });
        long locked = Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_LOCK_FILTER).OrThrow("getsockopt(SO_LOCK_FILTER)");
        if (locked != 0) options.Add(new SocketOption { Level = SOL_SOCKET, Name = SO_LOCK_FILTER, Value = BitConverter.GetBytes(1) });
    }

    /// <summary>Reasons in an option why this socket can't be carried.</summary>
    public static void Examine(int socket, Sighting sighting, ExamineContext context)
    {
        if (Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_ATTACH_FILTER, [], 0).Errno == Errno.EACCES)
            context.Refuse(sighting, "an eBPF program filters what it receives", "let the program detach it first, or use a classic BPF filter");
    }

    /// <summary>Why these options of an image can't be set; null when they can.</summary>
    public static string? Damage(SocketOption[] options)
    {
        foreach (SocketOption option in options)
        {
            bool right = (option.Level, option.Name) switch
            {
                (SOL_SOCKET, SO_SNDBUF or SO_RCVBUF) => option.Value.Length == Integer && BitConverter.ToInt32(option.Value) is >= 0 and <= MaxBuffer,
                (SOL_SOCKET, SO_ATTACH_FILTER) => option.Value.Length is > 0 and <= MaxFilterInstructions * 8 && option.Value.Length % 8 == 0,
                (SOL_SOCKET, SO_LOCK_FILTER) => option.Value.Length == Integer,
                _ => s_known.FirstOrDefault(known => known.Level == option.Level && known.Name == option.Name) is { } known && option.Value.Length <= known.Size,
            };
            if (!right) return $"it has a socket option that is unknown or of the wrong size ({option.Level}, {option.Name})";
        }
        return null;
    }

    public static void Set(int socket, SocketOption[] options, SocketOptionPart part = SocketOptionPart.All)
    {
        foreach (SocketOption option in options)
        {
            bool filter = option is { Level: SOL_SOCKET, Name: SO_ATTACH_FILTER or SO_LOCK_FILTER };
            if (part == SocketOptionPart.All || filter == (part == SocketOptionPart.Filter)) Set(socket, option).OrThrow($"setsockopt({Words(option)})");
        }
    }

    private static SysResult Set(int socket, SocketOption option)
    {
        if (option is { Level: SOL_SOCKET, Name: SO_ATTACH_FILTER }) return Linux.Sockets.AttachFilter(socket, option.Value);
        if (option is { Level: SOL_SOCKET, Name: SO_SNDBUF or SO_RCVBUF })
        {
            // Beyond the limits of net.core.*mem_max where we have the right; else as far as they go, as for the program itself.
            SysResult forced = Linux.Sockets.SetOption(socket, SOL_SOCKET, option.Name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, option.Value);
            if (!forced.Failed) return forced;
        }
        return Linux.Sockets.SetOption(socket, option.Level, option.Name, option.Value);
    }

    private static string Words(SocketOption option) =>
        s_known.FirstOrDefault(known => known.Level == option.Level && known.Name == option.Name)?.Words ?? $"level {option.Level}, option {option.Name}";
}
