using System.Buffers.Binary;
using System.Net;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// What waits in a raw or a ping socket: of these only the first packet can be looked at by calls, so the packets are read where they lie, and come
/// back by the loopback interface, headers and all. The kernel takes a packet for itself too, after the raw sockets: so only those are brought back that
/// it does nothing with, as the answers to a ping.
/// </summary>
internal static class RawQueue
{
    public const int MaxPackets = 1 << 16;
    private const int HeaderFour = 20, HeaderSix = 40, MaxLength = 65535, EchoReply = 0, TimestampReply = 14, EchoReplySix = 129, ChecksumAt = 2;

    // Whose packets the kernel works on (include/uapi/linux/in.h, in6.h), or may when a module is loaded.
    private static readonly HashSet<int> s_kernels = [0, 2, 4, 6, 17, 33, 41, 43, 44, 46, 47, 50, 51, 59, 60, 92, 94, 98, 103, 108, 115, 132, 135, 136, 137, 139, 140, 143, 144, 255];

    public static bool IsCarried(SocketSight sight) => sight.Family is AF_INET or AF_INET6 && (sight.Type == SOCK_RAW || sight is { Type: SOCK_DGRAM, Protocol: IPPROTO_ICMP or IPPROTO_ICMPV6 });

    /// <summary>Whole IP packets, and why they can't be brought back; that is null when they can.</summary>
    public static (List<byte[]> Packets, string? Obstacle) Look(int own, SocketSight sight)
    {
        List<byte[]> packets = [];
        Span<byte> device = stackalloc byte[16];
        if (Linux.Sockets.GetOption(own, SOL_SOCKET, SO_BINDTODEVICE, device).Value > 0) return ([], "it is bound to a network interface");
        foreach (KernelObject packet in KernelSocket.Queue(KernelSocket.Of(own, "inet_sock"), "sk.sk_receive_queue", MaxPackets))
        {
            if (Whole(packet, sight) is not { } whole) return ([], "one can't be looked at");
            if (Obstacle(whole) is { } obstacle) return ([], obstacle);
            packets.Add(whole);
        }
        return (packets, null);
    }

    // A raw socket of IPv4 has its packets with their header, all others have theirs behind it.
    private static byte[]? Whole(KernelObject packet, SocketSight sight)
    {
        bool four = sight.Family == AF_INET;
        ulong head = packet["head"];
        if (KernelSocket.Bytes(packet, packet["data"] - head) is not { Length: <= MaxLength } data) return null;
        if (four && sight.Type == SOCK_RAW) return data.Length >= HeaderFour && data[0] >> 4 == 4 ? data : null;
        byte[] header = new byte[four ? HeaderFour : HeaderSix];
        if (!KernelSight.Read(head + packet["network_header"], header) || header[0] >> 4 != (four ? 4 : 6)) return null;
        if (four) header[0] = 0x45; // without options, which it does not get to see
        else header[6] = (byte)sight.Protocol;
        byte[] whole = [.. header, .. data];
        if (four) BinaryPrimitives.WriteUInt16BigEndian(whole.AsSpan(2), (ushort)whole.Length);
        else BinaryPrimitives.WriteUInt16BigEndian(whole.AsSpan(4), (ushort)data.Length);
        return whole;
    }

    private static string? Obstacle(ReadOnlySpan<byte> packet)
    {
        (int protocol, int start) = Parts(packet);
        if (start < HeaderFour || start > packet.Length) return "one has no whole header";
        if (protocol == IPPROTO_ICMPV6 && start + ChecksumAt + 2 > packet.Length) return "one is an ICMP message that was cut short";
        if (UdpQueue.IsGroup(Destination(packet))) return "one was sent to a group (multicast or broadcast)";
        if (InternetAddress.IsLinkLocal(Source(packet)) || InternetAddress.IsLinkLocal(Destination(packet))) return "one is of an address that means something on its network interface only";
        if (s_kernels.Contains(protocol)) return $"one is of protocol {protocol}, which the kernel would take for itself once more";
        int type = start < packet.Length ? packet[start] : -1;
        return protocol == IPPROTO_ICMP && type is not (EchoReply or TimestampReply) || protocol == IPPROTO_ICMPV6 && type != EchoReplySix
            ? $"one is an ICMP message of type {type}, which the kernel would take for itself once more" : null;
    }

    private static (int Protocol, int Start) Parts(ReadOnlySpan<byte> packet) => packet[0] >> 4 == 4 ? (packet[9], (packet[0] & 15) * 4) : (packet[6], HeaderSix);
    private static byte[] Source(ReadOnlySpan<byte> packet) => packet[0] >> 4 == 4 ? packet.Slice(12, 4).ToArray() : packet.Slice(8, 16).ToArray();
    private static byte[] Destination(ReadOnlySpan<byte> packet) => packet[0] >> 4 == 4 ? packet.Slice(16, 4).ToArray() : packet.Slice(24, 16).ToArray();

    public static string? Damage(InternetSocketRecord record, PlanContext context)
    {
        if (record.Packets.Length == 0) return null;
        if (!IsCarried(new SocketSight(record.Family, record.Type, record.Protocol)) || record.Packets.Length > MaxPackets || record.Datagrams.Length > 0) return "it can't have packets that wait";
        if (record.Content is null || !context.HasStored(record.Content)) return "the content of its queue is missing";
        int header = record.Family == AF_INET ? HeaderFour : HeaderSix;
        return record.Packets.Any(length => length < header || length > MaxLength + header) ? "a packet that waits has the wrong form" : null;
    }

    /// <summary>Fills the queue of a bound socket that is not connected yet and has no filter; from then on it hears nothing, as what comes may be for others.</summary>
    public static void Fill(int socket, InternetSocketRecord record, RebuildContext context)
    {
        if (record.Packets.Length > 0) Deliver(socket, record, context.StoredBytes(record.Content!));
        if (IsCarried(new SocketSight(record.Family, record.Type, record.Protocol))) DeafSocket.UntilResume(socket, record.Options, context);
        else SocketOptions.Set(socket, record.Options, SocketOptionPart.Filter);
    }

    private static void Deliver(int socket, InternetSocketRecord record, byte[] content)
    {
        Judge(record, content);
        using var wide = new ReceiveBuffer(socket, ReceiveBuffer.Wide);
        using var raw = new DescriptorHandle(Linux.Sockets.Create(record.Family, SOCK_RAW, IPPROTO_RAW).OrThrowDescriptor("socket(SOCK_RAW)"));
        Linux.Sockets.SetOption(raw.Number, SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20).OrThrow("setsockopt(SO_SNDBUFFORCE)");
        byte[] bound = record.Address.Length == 0 ? [] : InternetAddress.HostOf(record.Address);
        int at = 0;
        foreach (int length in record.Packets)
        {
            byte[] packet = content.AsSpan(at, length).ToArray();
            at += length;
            byte[] to = ToHere(packet, bound);
            long before = ReceiveBuffer.Taken(socket);
            Linux.Sockets.Send(raw.Number, packet, InternetAddress.Of(to, 0)).OrThrow($"send of a packet from {new IPAddress(Source(packet))}");
            if (!ReceiveBuffer.HasTaken(socket, before)) throw new KernelRefusal($"a packet from {new IPAddress(Source(packet))} that was put back has not arrived (does a packet filter drop it?)", Errno.ENODATA);
        }
    }

    // An image's word is not enough to send anything to this host: only what a checkpoint would have taken.
    private static void Judge(InternetSocketRecord record, byte[] content)
    {
        bool right = content.Length == record.Packets.Sum(length => (long)length);
        int at = 0;
        foreach (int length in right ? record.Packets : [])
        {
            ReadOnlySpan<byte> packet = content.AsSpan(at, length);
            at += length;
            right &= packet[0] >> 4 == (record.Family == AF_INET ? 4 : 6) && Parts(packet) is var (protocol, start) && protocol == record.Protocol && Obstacle(packet) is null;
        }
        if (!right) throw new KernelRefusal("put back of packets that no such socket can have had (the image is damaged)", Errno.EINVAL);
    }

    // An address that this host does not have can't be the receiver's here.
    private static byte[] ToHere(Span<byte> packet, byte[] bound)
    {
        bool four = packet[0] >> 4 == 4;
        byte[] was = Destination(packet), to = !bound.AsSpan().TrimStart((byte)0).IsEmpty ? bound : UdpQueue.IsOurs(was) ? was : (four ? IPAddress.Loopback : IPAddress.IPv6Loopback).GetAddressBytes();
        if (four) (packet[6], packet[7]) = ((byte)(packet[6] & 0x40), 0); // it is whole; that it was not to be divided stays
        if (to.AsSpan().SequenceEqual(was)) return to;
        to.CopyTo(packet[(four ? 16 : 24)..]);
        (int protocol, int start) = Parts(packet);
        if (four || protocol != IPPROTO_ICMPV6) return to;
        Span<byte> message = packet[start..];
        message.Slice(ChecksumAt, 2).Clear();
        BinaryPrimitives.WriteUInt16BigEndian(message[ChecksumAt..], (ushort)~UdpPacket.Fold((ulong)IPPROTO_ICMPV6 + (ulong)message.Length + UdpPacket.Sum(Source(packet)) + UdpPacket.Sum(to) + UdpPacket.Sum(message)));
        return to;
    }
}
