using System.Net;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>A datagram that a program has begun to write and not ended (UDP_CORK, MSG_MORE): its bytes so far, and whom the first call named.</summary>
public sealed record CorkedDatagram
{
    public required int Length { get; init; }

    /// <summary>Stored bytes; null when there are none yet.</summary>
    public string? Content { get; init; }

    /// <summary>struct sockaddr_in or sockaddr_in6, of the socket's family.</summary>
    public required byte[] Destination { get; init; }
}

/// <summary>
/// The kernel shows how much there is of it (SIOCOUTQ) and nothing else, so it is read where it lies: one packet, or several when it is
/// longer than the network takes at once (net/ipv4/ip_output.c, __ip_append_data). It is written again as a whole.
/// </summary>
internal static class UdpCork
{
    private const int HeaderLength = 8, MostBytes = 65535 - HeaderLength, SO_BROADCAST = 6, MSG_MORE = 0x8000;

    /// <summary>Whether a UDP socket of ours has one.</summary>
    public static bool Is(int own) => KernelSocket.Of(own, "udp_sock")["pending"] != 0;

    /// <summary>Why what has been written can't be written again; null when it can.</summary>
    public static string? Obstacle(int own)
    {
        KernelObject socket = KernelSocket.Of(own, "udp_sock");
        const string OfItsOwn = "a packet is not sent yet that has options of its own (control messages)";
        // include/net/inet_sock.h, struct inet_cork: what a socket without them has there.
        if (socket["inet.cork.base.opt"] != 0 || socket["inet.cork.base.ttl"] != 0 || socket["inet.cork.base.transmit_time"] != 0) return OfItsOwn;
        if (socket["pending"] == AF_INET && socket["inet.cork.base.tos"] is var service && service != 0xffff && service != socket["inet.tos"]) return OfItsOwn;
        return Content(socket) is null ? "a packet is not sent yet, and what there is of it can't be looked at" : null;
    }

    public static (byte[] Content, byte[] Destination)? Look(int own, int family)
    {
        KernelObject socket = KernelSocket.Of(own, "udp_sock");
        if (socket["pending"] == 0 || Content(socket) is not { } content) return null;
        bool four = socket["pending"] == AF_INET;
        string flow = four ? "inet.cork.fl.u.ip4" : "inet.cork.fl.u.ip6";
        byte[] port = socket.Read($"{flow}.uli.ports.dport", 2), host = socket.Read($"{flow}.daddr", four ? 4 : 16);
        if (four && family == AF_INET6) host = new IPAddress(host).MapToIPv6().GetAddressBytes();
        byte[] destination = InternetAddress.Of(host, port[0] << 8 | port[1]);
        // A link-local address is one of an interface (man 7 ipv6, sin6_scope_id).
        if (host.Length == 16 && host[0] == 0xfe && (host[1] & 0xc0) == 0x80) BitConverter.TryWriteBytes(destination.AsSpan(24), (uint)socket[$"{flow}.__fl_common.flowic_oif"]);
        return (content, destination);
    }

    // Behind the headers of each packet; the first has that of UDP too.
    private static byte[]? Content(KernelObject socket)
    {
        var bytes = new MemoryStream();
        int header = HeaderLength;
        foreach (KernelObject packet in KernelSocket.Queue(socket, "inet.sk.sk_write_queue"))
        {
            if (KernelSocket.Bytes(packet, packet["transport_header"] + (ulong)header) is not { } piece) return null;
            bytes.Write(piece);
            header = 0;
        }
        return bytes.Length == (long)socket["len"] - HeaderLength ? bytes.ToArray() : null;
    }

    public static string? Damage(CorkedDatagram? corked, InternetSocketRecord record, PlanContext context)
    {
        if (corked is null) return null;
        if (!UdpQueue.IsCarried(new SocketSight(record.Family, record.Type, record.Protocol)) || !InternetAddress.IsOf(corked.Destination, record.Family)) return "it can't have a packet that is not sent yet";
        return corked.Length is < 0 or > MostBytes || (corked.Length == 0 ? corked.Content is not null : corked.Content is null || !context.HasStored(corked.Content)) ? "the content of a packet that is not sent yet is missing" : null;
    }

    /// <summary>Why the packet would find no way from here; null when it would.</summary>
    public static Errno? Unreachable(CorkedDatagram corked, InternetSocketRecord record)
    {
        using var probe = new DescriptorHandle(Linux.Sockets.Create(record.Family, SOCK_DGRAM).OrThrowDescriptor("socket(SOCK_DGRAM)"));
        Linux.Sockets.SetOption(probe.Number, SOL_SOCKET, SO_BROADCAST, 1);
        SysResult connected = Linux.Sockets.Connect(probe.Number, corked.Destination);
        return connected.Failed ? connected.Errno : null;
    }

    public static void Write(int socket, CorkedDatagram corked, RebuildContext context)
    {
        byte[] content = corked.Content is null ? [] : context.StoredBytes(corked.Content);
        InvariantBroken.Require(content.Length == corked.Length, "a packet that is not sent yet has another length than its content");
        Linux.Sockets.Send(socket, content, corked.Destination, MSG_MORE).OrThrow($"send(MSG_MORE) to {InternetAddress.Words(corked.Destination)}");
    }
}
