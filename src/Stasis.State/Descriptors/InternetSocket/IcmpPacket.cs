using System.Buffers.Binary;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>An IP packet with an ICMP message about a UDP datagram of ours (RFC 792, 4443), as a raw socket takes it.</summary>
internal static class IcmpPacket
{
    private const int IcmpHeader = 8, UdpHeader = 8, FragmentationNeeded = 4, ParameterProblem = 12, DestinationUnreachable = 3;

    /// <param name="local">Our address, to which the message goes and from which the datagram went.</param>
    /// <param name="protocol">UDP or UDP-Lite.</param>
    public static byte[] Build(InternetError error, ReadOnlySpan<byte> local, int protocol, int localPort)
    {
        bool four = local.Length == 4;
        int header = four ? 20 : 40;
        byte[] packet = new byte[header + IcmpHeader + header + UdpHeader + error.Content.Length];
        Span<byte> icmp = packet.AsSpan(header), datagram = icmp[IcmpHeader..], udp = datagram[header..];
        UdpPacket.WriteHeader(packet, four ? IPPROTO_ICMP : IPPROTO_ICMPV6, error.Offender, local);
        UdpPacket.WriteHeader(datagram, protocol, local, error.Destination);
        BinaryPrimitives.WriteUInt16BigEndian(udp, (ushort)localPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], (ushort)error.Port);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)udp.Length);
        error.Content.CopyTo(udp[UdpHeader..]);
        (icmp[0], icmp[1]) = ((byte)error.Type, (byte)error.Code);
        uint rest = !four ? error.Information : (error.Type, error.Code) switch
        {
            (DestinationUnreachable, FragmentationNeeded) => error.Information & 0xffff,
            (ParameterProblem, _) => error.Information << 24,
            _ => 0,
        };
        BinaryPrimitives.WriteUInt32BigEndian(icmp[4..], rest);
        ushort sum = four ? UdpPacket.Fold(UdpPacket.Sum(icmp)) : UdpPacket.Fold((ulong)IPPROTO_ICMPV6 + (ulong)icmp.Length + UdpPacket.Sum(error.Offender) + UdpPacket.Sum(local) + UdpPacket.Sum(icmp));
        BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], (ushort)~sum);
        return packet;
    }
}
