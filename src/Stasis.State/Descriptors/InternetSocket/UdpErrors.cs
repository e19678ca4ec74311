using System.Net;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>An ICMP message about a datagram, as the error queue has it (man 7 ip, IP_RECVERR).</summary>
public sealed record InternetError
{
    public required int Type { get; init; }
    public required int Code { get; init; }

    /// <summary>The largest packet of the next network, or the place of a bad parameter; else 0.</summary>
    public required uint Information { get; init; }

    /// <summary>Whose message it is, and to which address of ours it went: 4 or 16 bytes, as <see cref="Destination"/>.</summary>
    public required byte[] Offender { get; init; }
    public required byte[] Local { get; init; }

    /// <summary>Where the datagram was sent to, and its beginning, which came back.</summary>
    public required byte[] Destination { get; init; }
    public required int Port { get; init; }
    public required byte[] Content { get; init; }
}

/// <summary>
/// Errors of a UDP socket that wait to be read: those of its error queue, and the one that its next call returns. To read them would take them, so
/// they are read where they lie, and brought back as what they were, messages that come from the network: a raw socket sends them to us.
/// </summary>
internal static class UdpErrors
{
    public const int MostErrors = 1 << 16;
    private const int SO_EE_ORIGIN_ICMP = 2, SO_EE_ORIGIN_ICMP6 = 3, MostContent = 65535;
    private const int SO_REUSEPORT = 15, SO_BINDTODEVICE = 25, IP_RECVERR = 11, IPV6_RECVERR = 25;

    /// <summary>Both, and why they can't be brought back; that is null when they can.</summary>
    public static (InternetError[] Queue, Errno Next, string? Obstacle) Look(int own, int family)
    {
        KernelObject socket = KernelSocket.Of(own, "udp_sock");
        var next = (Errno)(int)socket["inet.sk.sk_err"];
        List<InternetError> errors = [];
        foreach (KernelObject packet in KernelSocket.Queue(socket, "inet.sk.sk_error_queue"))
        {
            if (Of(packet) is not { } error) return ([], next, "a message in its error queue is no plain ICMP message (a time stamp, a zero-copy notice, an error of this host)");
            if (InternetAddress.IsLinkLocal(error.Offender) || InternetAddress.IsLinkLocal(error.Destination)) return ([], next, "it is of an address that means something on its network interface only");
            errors.Add(error);
        }
        if (errors.Count == 0 && next == Errno.None) return ([], next, null);
        Span<byte> device = stackalloc byte[16];
        if (Linux.Sockets.GetOption(own, SOL_SOCKET, SO_BINDTODEVICE, device).Value > 0) return ([], next, "it is bound to a network interface");
        if (errors.Count == 0 && (next != Errno.ECONNREFUSED || Queues(own, family) || Linux.Sockets.PeerName(own).Result.Failed)) return ([], next, $"the error is {next}");
        if (Linux.Sockets.GetOption(own, SOL_SOCKET, SO_REUSEPORT).Raw > 0 && Linux.Sockets.PeerName(own).Result.Failed) return ([], next, "several sockets share its address (SO_REUSEPORT)");
        return ([.. errors], next, null);
    }

    private static bool Queues(int own, int family) =>
        Linux.Sockets.GetOption(own, SOL_IP, IP_RECVERR).Raw > 0 || family == AF_INET6 && Linux.Sockets.GetOption(own, SOL_IPV6, IPV6_RECVERR).Raw > 0;

    // include/linux/errqueue.h, struct sock_exterr_skb, in the packet's control buffer. The packet is the whole message; its data begin behind the headers of the datagram.
    private static InternetError? Of(KernelObject packet)
    {
        var told = new KernelObject("sock_exterr_skb", packet.At("cb"));
        ulong origin = told["ee.ee_origin"], head = packet["head"];
        if (origin is not (SO_EE_ORIGIN_ICMP or SO_EE_ORIGIN_ICMP6) || told["ee.ee_data"] != 0) return null;
        int length = origin == SO_EE_ORIGIN_ICMP ? 4 : 16;
        ulong network = head + packet["network_header"], source = network + (length == 4 ? 12ul : 8);
        byte[] offender = new byte[length], local = new byte[length], destination = new byte[length], port = told.Read("port", 2);
        if (!KernelSight.Read(source, offender) || !KernelSight.Read(source + (ulong)length, local) || !KernelSight.Read(network + told["addr_offset"], destination)) return null;
        if (KernelSocket.Bytes(packet, packet["data"] - head) is not { Length: <= MostContent } content) return null;
        return new InternetError { Type = (int)told["ee.ee_type"], Code = (int)told["ee.ee_code"], Information = (uint)told["ee.ee_info"], Offender = offender, Local = local, Destination = destination, Port = port[0] << 8 | port[1], Content = content };
    }

    public static string? Damage(InternetSocketRecord record)
    {
        if (record.Errors.Length == 0 && record.NextError == 0) return null;
        if (!UdpQueue.IsCarried(new SocketSight(record.Family, record.Type, record.Protocol)) || record.Errors.Length > MostErrors || record.Address.Length == 0) return "it can't have errors that wait";
        if (record.Errors.Length == 0 && (record.NextError != (int)Errno.ECONNREFUSED || record.Peer.Length == 0)) return "it can't have such an error";
        return record.Errors.Any(one => one.Type is < 0 or > 255 || one.Code is < 0 or > 255 || one.Port is < 0 or > 65535 || one.Content.Length > MostContent
            || one.Destination.Length is not (4 or 16) || one.Offender.Length != one.Destination.Length || one.Local.Length != one.Destination.Length) ? "an error that waits has the wrong form" : null;
    }

    /// <summary>For a socket that is bound and connected.</summary>
    public static void BringBack(int socket, InternetSocketRecord record)
    {
        if (record.Errors.Length == 0 && record.NextError == 0) return;
        byte[] own = Linux.Sockets.Name(socket).Address;
        InternetError[] errors = record.Errors.Length > 0 ? record.Errors : [Refused(own, record.Peer)];
        for (int i = 0; i < errors.Length; i++)
        {
            InternetError error = errors[i];
            long before = ReceiveBuffer.Taken(socket);
            byte[] local = LocalFor(error, own);
            byte[] message = IcmpPacket.Build(error, local, record.Protocol, InternetAddress.Port(own));
            using var raw = new DescriptorHandle(Linux.Sockets.Create(local.Length == 4 ? AF_INET : AF_INET6, SOCK_RAW, IPPROTO_RAW).OrThrowDescriptor("socket(SOCK_RAW)"));
            Linux.Sockets.SetOption(raw.Number, SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20).OrThrow("setsockopt(SO_SNDBUFFORCE)");
            Linux.Sockets.Send(raw.Number, message, InternetAddress.Of(local, 0)).OrThrow($"send of an ICMP message from {new IPAddress(error.Offender)}");
            bool arrived = record.Errors.Length > 0 ? ReceiveBuffer.HasTaken(socket, before) : Pause.Until(() => (Poll.Events(socket) & Poll.POLLERR) != 0);
            if (!arrived) throw new KernelRefusal($"an ICMP message that was brought back for {InternetAddress.Words(own)} has not arrived (does a packet filter drop it?)", Errno.ENODATA);
            // What its next call would return: of each but perhaps the last one the program has heard, or of none any more. This takes it.
            if (i < errors.Length - 1 || record.NextError == 0) Pause.Until(() => Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_ERROR).Raw != 0);
        }
    }

    // Port unreachable, from the peer itself.
    private static InternetError Refused(byte[] own, byte[] peer)
    {
        byte[] host = Plain(InternetAddress.HostOf(peer)), local = Plain(InternetAddress.HostOf(own));
        return new InternetError { Type = host.Length == 4 ? 3 : 1, Code = host.Length == 4 ? 3 : 4, Information = 0, Offender = host, Local = local, Destination = host, Port = InternetAddress.Port(peer), Content = [] };
    }

    private static byte[] Plain(byte[] host) => host.Length == 16 && new IPAddress(host) is { IsIPv4MappedToIPv6: true } mapped ? mapped.MapToIPv4().GetAddressBytes() : host;

    // The address that the socket sends from; where it has not said, the one it had then, or if that is not here, any.
    private static byte[] LocalFor(InternetError error, byte[] own)
    {
        byte[] bound = Plain(InternetAddress.HostOf(own));
        if (bound.Length == error.Local.Length && !bound.AsSpan().TrimStart((byte)0).IsEmpty) return bound;
        return UdpQueue.IsOurs(error.Local) ? error.Local : (error.Local.Length == 4 ? IPAddress.Loopback : IPAddress.IPv6Loopback).GetAddressBytes();
    }
}
