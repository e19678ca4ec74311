using System.Buffers.Binary;
using static Stasis.Linux.SocketConstants;

namespace Stasis.Linux;

/// <summary>
/// A TCP segment as if it came from a peer, put into this host's own input: the only way to tell a socket what a peer has said
/// (RFC 9293; man 7 raw). It never leaves the host, as it goes to an address of its own.
/// </summary>
public static class TcpSegment
{
    public const int FIN = 1, RST = 4, ACK = 0x10, URG = 0x20;
    private const int SOCK_RAW = 3, IPPROTO_RAW = 255, SO_MARK = 36, HeaderLength = 20;

    /// <param name="from">struct sockaddr_in or sockaddr_in6 of the peer.</param>
    /// <param name="to">The same of the socket.</param>
    public static void Deliver(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, uint sequence, uint acknowledged, int flags, int window, ReadOnlySpan<byte> content = default, int urgent = 0)
    {
        byte[] segment = new byte[HeaderLength + content.Length];
        from.Slice(2, 2).CopyTo(segment);
        to.Slice(2, 2).CopyTo(segment.AsSpan(2));
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(4), sequence);
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(8), acknowledged);
        segment[12] = HeaderLength / 4 << 4;
        segment[13] = (byte)flags;
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(14), (ushort)window);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(18), (ushort)urgent);
        content.CopyTo(segment.AsSpan(HeaderLength));
        ReadOnlySpan<byte> source = Host(from), destination = Host(to);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(16), Checksum(source, destination, segment));
        byte[] packet = source.Length == 4 ? [.. HeaderFour(source, destination, segment.Length), .. segment] : [.. HeaderSix(source, destination, segment.Length), .. segment];
        int family = source.Length == 4 ? AF_INET : AF_INET6;
        using var raw = new DescriptorHandle(Sockets.Create(family, SOCK_RAW, IPPROTO_RAW).OrThrowDescriptor("socket(SOCK_RAW)"));
        Sockets.SetOption(raw.Number, SOL_SOCKET, SO_MARK, NfTables.Mark).OrThrow("setsockopt(SO_MARK)");
        Sockets.Send(raw.Number, packet, Target(to, destination)).OrThrow("send of a TCP segment to a socket of this host");
    }

    private static ReadOnlySpan<byte> Host(ReadOnlySpan<byte> address)
    {
        if (address.Length < 28) return address.Slice(4, 4);
        ReadOnlySpan<byte> host = address.Slice(8, 16);
        return host[..12].SequenceEqual<byte>([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) ? host[12..] : host;
    }

    // A raw socket wants no port; of IPv6 the scope of a link-local address stays.
    private static byte[] Target(ReadOnlySpan<byte> to, ReadOnlySpan<byte> host)
    {
        byte[] target = new byte[host.Length == 4 ? 16 : 28];
        if (host.Length == 4) host.CopyTo(target.AsSpan(4)); else to.CopyTo(target);
        BinaryPrimitives.WriteUInt16LittleEndian(target, (ushort)(host.Length == 4 ? AF_INET : AF_INET6));
        target.AsSpan(2, 2).Clear();
        return target;
    }

    // The kernel fills in the IPv4 header's checksum and id.
    private static byte[] HeaderFour(ReadOnlySpan<byte> source, ReadOnlySpan<byte> destination, int length)
    {
        byte[] header = new byte[20];
        header[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)(20 + length));
        header[6] = 0x40; // don't fragment
        (header[8], header[9]) = (64, IPPROTO_TCP);
        source.CopyTo(header.AsSpan(12));
        destination.CopyTo(header.AsSpan(16));
        return header;
    }

    private static byte[] HeaderSix(ReadOnlySpan<byte> source, ReadOnlySpan<byte> destination, int length)
    {
        byte[] header = new byte[40];
        header[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), (ushort)length);
        (header[6], header[7]) = (IPPROTO_TCP, 64);
        source.CopyTo(header.AsSpan(8));
        destination.CopyTo(header.AsSpan(24));
        return header;
    }

    private static ushort Checksum(ReadOnlySpan<byte> source, ReadOnlySpan<byte> destination, ReadOnlySpan<byte> segment)
    {
        ulong sum = IPPROTO_TCP + (ulong)segment.Length;
        Add(source, ref sum);
        Add(destination, ref sum);
        Add(segment, ref sum);
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }

    private static void Add(ReadOnlySpan<byte> bytes, ref ulong sum)
    {
        for (int i = 0; i + 1 < bytes.Length; i += 2) sum += BinaryPrimitives.ReadUInt16BigEndian(bytes[i..]);
        if (bytes.Length % 2 != 0) sum += (ulong)bytes[^1] << 8;
    }
}
