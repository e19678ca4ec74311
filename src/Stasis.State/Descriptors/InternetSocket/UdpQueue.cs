using System.Buffers.Binary;
using System.Net;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>A datagram that waits to be read.</summary>
public sealed record InternetDatagram
{
    public required int Length { get; init; }

    /// <summary>struct sockaddr_in or sockaddr_in6 of the sender.</summary>
    public required byte[] Sender { get; init; }

    /// <summary>The address that it was sent to, 4 or 16 bytes; empty when the kernel does not tell.</summary>
    public byte[] Destination { get; init; } = [];
}

/// <summary>
/// What waits in a UDP socket: looked at without taking it, and put back as packets that come from the recorded senders, written
/// whole to a raw socket. They go by the loopback interface, where the kernel does not ask whose address the sender's is.
/// </summary>
internal static class UdpQueue
{
    public const int MaxDatagrams = 1 << 20, MaxLength = 65535;
    private const int UDP_GRO = 104, SO_REUSEPORT = 15;

    /// <summary>Ping and raw sockets are another matter: <see cref="RawQueue"/>.</summary>
    public static bool IsCarried(SocketSight sight) => sight is { Family: AF_INET or AF_INET6, Type: SOCK_DGRAM, Protocol: IPPROTO_UDP or IPPROTO_UDPLITE };

    /// <summary>Why what waits in this socket can't be put back; null when it can.</summary>
    public static string? Obstacle(int socket, byte[] address)
    {
        if (Linux.Sockets.GetOption(socket, SOL_UDP, UDP_GRO).Raw > 0) return "UDP packets wait that the kernel has put together (UDP_GRO)";
        if (Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_REUSEPORT).Raw > 0) return "UDP packets wait at an address that several sockets share (SO_REUSEPORT)";
        if (IsGroup(InternetAddress.HostOf(address))) return "UDP packets wait that were sent to a group (multicast or broadcast)";
        return null;
    }

    public static bool IsGroup(byte[] host) => host.Length == 4 ? host[0] >= 224 : host[0] == 0xff;

    /// <summary>All of the queue of a frozen tree's socket.</summary>
    public static (byte[] Content, InternetDatagram[] Datagrams) Look(Sighting sighting, ExamineContext context)
    {
        using DescriptorHandle own = sighting.Take();
        if ((Poll.Events(own.Number) & Poll.POLLIN) == 0) return ([], []);
        return PeekGuard.Of(sighting, context).Look(SocketSight.Inode(sighting), socket => Walk(socket, sighting, context));
    }

    // The first is looked at without the offset: see the walk through a UNIX socket's messages.
    private static (byte[], InternetDatagram[]) Walk(int socket, Sighting sighting, ExamineContext context)
    {
        int family = SocketSight.Of(sighting).Family;
        List<(int, InternetDatagram)> hidden = HiddenMessages.Of(socket, "udp_sock", ["reader_queue", "inet.sk.sk_receive_queue"], sighting, context, packet => Empty(packet, family));
        List<InternetDatagram> datagrams = [];
        using var content = new MemoryStream();
        byte[] buffer = new byte[MaxLength];
        SocketMessage first = At(socket, -1, []);
        if (first.Result.Raw == 0) datagrams.Add(Record(first));
        while (At(socket, (int)content.Length, buffer) is var message && message.Result.Errno != Errno.EAGAIN)
        {
            int length = (int)message.Result.OrThrow("recvmsg(MSG_PEEK)");
            content.Write(buffer, 0, Math.Min(length, buffer.Length));
            datagrams.Add(Record(message));
        }
        HiddenMessages.Join(datagrams, hidden);
        return (content.ToArray(), [.. datagrams]);
    }

    private static SocketMessage At(int socket, int offset, Span<byte> buffer)
    {
        Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_PEEK_OFF, offset).OrThrow("setsockopt(SO_PEEK_OFF)");
        return SocketMessages.Peek(socket, buffer);
    }

    private static InternetDatagram Record(SocketMessage message) => new() { Length = (int)message.Result.Value, Sender = message.Sender, Destination = message.Destination };

    // What a look would tell of it is in its headers (net/ipv4/udp.c, udp_recvmsg; net/ipv6/udp.c, udpv6_recvmsg).
    private static InternetDatagram Empty(KernelObject packet, int family)
    {
        byte[] header = new byte[40], port = new byte[2];
        if (!KernelSight.Read(packet["head"] + packet["network_header"], header) || !KernelSight.Read(packet["head"] + packet["transport_header"], port)) throw new KernelRefusal("read of the headers of an empty UDP packet", Errno.EFAULT);
        bool four = header[0] >> 4 == 4;
        byte[] source = four ? header[12..16] : header[8..24];
        if (four && family == AF_INET6) source = new IPAddress(source).MapToIPv6().GetAddressBytes();
        return new InternetDatagram { Length = 0, Sender = InternetAddress.Of(source, BinaryPrimitives.ReadUInt16BigEndian(port)), Destination = four ? header[16..20] : header[24..40] };
    }

    public static string? Damage(InternetSocketRecord record, PlanContext context)
    {
        if (record.Datagrams.Length == 0) return null;
        if (record.Protocol is not (IPPROTO_UDP or IPPROTO_UDPLITE) || record.Type != SOCK_DGRAM || record.Address.Length == 0 || record.Datagrams.Length > MaxDatagrams) return "it can't have packets that wait";
        if (record.Content is null || !context.HasStored(record.Content)) return "the content of its queue is missing";
        return record.Datagrams.Any(one => one.Length is < 0 or > MaxLength || !InternetAddress.IsOf(one.Sender, one.Sender.Length == 16 ? AF_INET : AF_INET6) || one.Destination.Length is not (0 or 4 or 16))
            ? "a packet that waits has the wrong form" : null;
    }

    /// <summary>Fills the queue of a bound socket that is not connected yet and has no filter.</summary>
    public static void Fill(int socket, InternetSocketRecord record, RebuildContext context)
    {
        if (record.Datagrams.Length == 0) return;
        byte[] content = context.StoredBytes(record.Content!);
        InvariantBroken.Require(content.Length == record.Datagrams.Sum(one => (long)one.Length), "the content of a queue has another length than its packets");
        using var wide = new ReceiveBuffer(socket, ReceiveBuffer.Wide);
        int at = 0;
        foreach (InternetDatagram one in record.Datagrams)
        {
            long before = ReceiveBuffer.Taken(socket);
            Deliver(record, one, content.AsSpan(at, one.Length));
            if (!ReceiveBuffer.HasTaken(socket, before)) throw new KernelRefusal($"a packet from {InternetAddress.Words(one.Sender)} that was put back for {InternetAddress.Words(record.Address)} has not arrived (does a packet filter drop it?)", Errno.ENODATA);
            at += one.Length;
        }
    }

    private static void Deliver(InternetSocketRecord record, InternetDatagram one, ReadOnlySpan<byte> data)
    {
        byte[] source = InternetAddress.HostOf(one.Sender), bound = InternetAddress.HostOf(record.Address);
        byte[] wanted = bound.AsSpan().TrimStart((byte)0).IsEmpty ? one.Destination : bound;
        if (source.Length == 16 && new IPAddress(source) is { IsIPv4MappedToIPv6: true } mapped)
        {
            source = mapped.MapToIPv4().GetAddressBytes();
            if (wanted.Length == 16) wanted = new IPAddress(wanted) is { IsIPv4MappedToIPv6: true } to ? to.MapToIPv4().GetAddressBytes() : [];
        }
        // An address that this host does not have, or a group's, can't be the receiver's here.
        if (wanted.Length != source.Length || !IsOurs(wanted)) wanted = (source.Length == 4 ? IPAddress.Loopback : IPAddress.IPv6Loopback).GetAddressBytes();
        byte[] packet = UdpPacket.Build(record.Protocol, source, InternetAddress.Port(one.Sender), wanted, InternetAddress.Port(record.Address), data);
        int family = source.Length == 4 ? AF_INET : AF_INET6;
        using var raw = new DescriptorHandle(Linux.Sockets.Create(family, SOCK_RAW, IPPROTO_RAW).OrThrowDescriptor("socket(SOCK_RAW)"));
        Linux.Sockets.SetOption(raw.Number, SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20).OrThrow("setsockopt(SO_SNDBUFFORCE)");
        Linux.Sockets.Send(raw.Number, packet, InternetAddress.Of(wanted, 0)).OrThrow($"send of a packet from {InternetAddress.Words(one.Sender)}");
    }

    public static bool IsOurs(byte[] host)
    {
        if (IsGroup(host)) return false;
        using var probe = new DescriptorHandle(Linux.Sockets.Create(host.Length == 4 ? AF_INET : AF_INET6, SOCK_DGRAM).OrThrowDescriptor("socket(SOCK_DGRAM)"));
        // A broadcast address can be bound, but not sent to without leave (man 7 ip, SO_BROADCAST).
        return !Linux.Sockets.Bind(probe.Number, InternetAddress.Of(host, 0)).Failed && Linux.Sockets.Connect(probe.Number, InternetAddress.Of(host, 9)).Errno != Errno.EACCES;
    }
}

/// <summary>An IP packet with a UDP datagram in it (RFC 791, 8200, 768), as a raw socket takes it.</summary>
internal static class UdpPacket
{
    private const int UdpHeader = 8, TimeToLive = 64;

    /// <param name="protocol">UDP, or UDP-Lite, which has the length that its checksum covers in the place of the datagram's (RFC 3828): zero is all.</param>
    public static byte[] Build(int protocol, ReadOnlySpan<byte> source, int sourcePort, ReadOnlySpan<byte> destination, int destinationPort, ReadOnlySpan<byte> data)
    {
        int header = source.Length == 4 ? 20 : 40;
        byte[] packet = new byte[header + UdpHeader + data.Length];
        Span<byte> udp = packet.AsSpan(header);
        BinaryPrimitives.WriteUInt16BigEndian(udp, (ushort)sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], (ushort)destinationPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)(protocol == IPPROTO_UDPLITE ? 0 : udp.Length));
        data.CopyTo(udp[UdpHeader..]);
        WriteHeader(packet, protocol, source, destination);
        BinaryPrimitives.WriteUInt16BigEndian(udp[6..], Checksum(protocol, source, destination, udp));
        return packet;
    }

    /// <summary>The header of an IP packet that is as long as these bytes, without options.</summary>
    public static void WriteHeader(Span<byte> packet, int protocol, ReadOnlySpan<byte> source, ReadOnlySpan<byte> destination)
    {
        if (source.Length == 4)
        {
            packet[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)packet.Length);
            packet[8] = TimeToLive;
            packet[9] = (byte)protocol;
            source.CopyTo(packet[12..]);
            destination.CopyTo(packet[16..]);
        }
        else
        {
            packet[0] = 0x60;
            BinaryPrimitives.WriteUInt16BigEndian(packet[4..], (ushort)(packet.Length - 40));
            packet[6] = (byte)protocol;
            packet[7] = TimeToLive;
            source.CopyTo(packet[8..]);
            destination.CopyTo(packet[24..]);
        }
    }

    // Over the addresses, the protocol, the length and the datagram; a sum of zero is written as all ones.
    private static ushort Checksum(int protocol, ReadOnlySpan<byte> source, ReadOnlySpan<byte> destination, ReadOnlySpan<byte> udp)
    {
        ushort sum = Fold((ulong)protocol + (ulong)udp.Length + Sum(source) + Sum(destination) + Sum(udp));
        return sum == 0xffff ? (ushort)0xffff : (ushort)~sum;
    }

    /// <summary>The sum of the internet's checksum (RFC 1071), which is written inverted.</summary>
    public static ushort Fold(ulong sum)
    {
        while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)sum;
    }

    public static ulong Sum(ReadOnlySpan<byte> bytes)
    {
        ulong sum = 0;
        for (int i = 0; i + 1 < bytes.Length; i += 2) sum += (ulong)(bytes[i] << 8 | bytes[i + 1]);
        return bytes.Length % 2 == 0 ? sum : sum + (ulong)(bytes[^1] << 8);
    }
}
