using System.Buffers.Binary;
using System.Net;
using Stasis.Linux;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>struct sockaddr_in and sockaddr_in6 (man 7 ip, ipv6) as raw bytes.</summary>
public static class InternetAddress
{
    public static int Length(int family) => family == SocketConstants.AF_INET ? 16 : 28;
    public static int Port(ReadOnlySpan<byte> address) => BinaryPrimitives.ReadUInt16BigEndian(address[2..]);
    public static bool IsOf(ReadOnlySpan<byte> address, int family) => address.Length == Length(family) && BinaryPrimitives.ReadUInt16LittleEndian(address) == family;

    private static ReadOnlySpan<byte> Host(ReadOnlySpan<byte> address) => address.Length >= 28 ? address.Slice(8, 16) : address.Slice(4, 4);

    /// <summary>The host's part, 4 or 16 bytes.</summary>
    public static byte[] HostOf(ReadOnlySpan<byte> address) => Host(address).ToArray();

    /// <summary>struct sockaddr_in or sockaddr_in6 of a host of 4 or 16 bytes.</summary>
    public static byte[] Of(ReadOnlySpan<byte> host, int port)
    {
        int family = host.Length == 4 ? SocketConstants.AF_INET : SocketConstants.AF_INET6;
        byte[] address = new byte[Length(family)];
        address[0] = (byte)family;
        BinaryPrimitives.WriteUInt16BigEndian(address.AsSpan(2), (ushort)port);
        host.CopyTo(address.AsSpan(host.Length == 4 ? 4 : 8));
        return address;
    }

    public static bool HasNoHost(ReadOnlySpan<byte> address) => Host(address).TrimStart((byte)0).IsEmpty;

    /// <summary>Whether a host of IPv6 means something on one network interface only (RFC 4007).</summary>
    public static bool IsLinkLocal(ReadOnlySpan<byte> host) => host.Length == 16 && host[0] == 0xfe && (host[1] & 0xc0) == 0x80;

    /// <summary>Whether the host is this one. The only way to know is to try.</summary>
    public static bool IsHere(ReadOnlySpan<byte> address)
    {
        int family = address.Length == Length(SocketConstants.AF_INET) ? SocketConstants.AF_INET : SocketConstants.AF_INET6;
        using var probe = new DescriptorHandle(Linux.Sockets.Create(family, SocketConstants.SOCK_DGRAM, SocketConstants.IPPROTO_UDP).OrThrowDescriptor("socket"));
        byte[] anyPort = address.ToArray();
        anyPort.AsSpan(2, 2).Clear();
        return !Linux.Sockets.Bind(probe.Number, anyPort).Failed;
    }

    /// <summary>The loopback address without a port.</summary>
    public static byte[] Loopback(int family)
    {
        byte[] address = new byte[Length(family)];
        address[0] = (byte)family;
        if (family == SocketConstants.AF_INET) (address[4], address[7]) = (127, 1);
        else address[23] = 1;
        return address;
    }

    /// <summary>The same port at another host; null when it is not at the host <paramref name="from"/> (in IPv6 also as ::ffff:a.b.c.d).</summary>
    public static byte[]? Move(byte[] address, IPAddress from, IPAddress to)
    {
        if (address.Length is not (16 or 28)) return null; // of an image that is damaged: told later
        var host = new IPAddress(Host(address));
        bool mapped = host.IsIPv4MappedToIPv6 && from.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork;
        if (!(mapped ? host.MapToIPv4() : host).Equals(from)) return null;
        byte[] moved = [.. address];
        (mapped ? to.MapToIPv6() : to).GetAddressBytes().CopyTo(moved, address.Length >= 28 ? 8 : 4);
        return moved;
    }

    public static bool IsUnset(ReadOnlySpan<byte> address) => Port(address) == 0 && Host(address).TrimStart((byte)0).IsEmpty;

    public static string Words(ReadOnlySpan<byte> address)
    {
        string host = new IPAddress(Host(address)).ToString();
        return address.Length >= 28 ? $"[{host}]:{Port(address)}" : $"{host}:{Port(address)}";
    }
}
