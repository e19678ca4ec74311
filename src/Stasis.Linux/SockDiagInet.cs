using System.Buffers.Binary;
using static Stasis.Linux.SocketConstants;

namespace Stasis.Linux;

/// <summary>One TCP socket as the kernel lists it (include/uapi/linux/inet_diag.h). Addresses are struct sockaddr_in or sockaddr_in6.</summary>
/// <param name="Id">struct inet_diag_sockid, by which the kernel knows it again.</param>
/// <param name="ReceiveQueue">Bytes from the next one to be read to the last that came in order, a FIN counted.</param>
/// <param name="Signed">Its segments are signed (TCP MD5), by keys that nobody can read. Only told to who may administer the network.</param>
/// <param name="Inode">That of its "socket:[N]" link; 0 for one that nobody has a descriptor of.</param>
public sealed record InetSocketState(int Family, int State, byte[] Address, byte[] Peer, byte[] Id, int ReceiveQueue, uint Inode, bool Signed);

/// <summary>The TCP sockets of our network namespace, also those without a descriptor.</summary>
public static class SockDiagInet
{
    public const int TCP_SYN_RECV = 3;
    private const int SOCK_DESTROY = 21, TCP_SYN_SENT = 2, TCP_TIME_WAIT = 6, INET_DIAG_INFO = 2, INET_DIAG_MD5SIG = 18, IdSize = 48, RequestSize = 8 + IdSize;

    // Of those that sock_diag lists: not a listener's.
    private const uint AllStates = ~(1u << TCP_LISTEN);

    public static List<InetSocketState> TimeWaiting() => [.. List(AF_INET, 1 << TCP_TIME_WAIT), .. List(AF_INET6, 1 << TCP_TIME_WAIT)];

    /// <summary>All that have a connection.</summary>
    public static List<InetSocketState> Connected() => [.. List(AF_INET, AllStates), .. List(AF_INET6, AllStates)];

    /// <summary>
    /// Connections that the kernel has at listeners' addresses and no program yet: whose handshake is under way (<see cref="TCP_SYN_RECV"/>), or that
    /// wait to be accepted. Nobody has a descriptor of them; one that its program has closed leaves these states in the same moment.
    /// </summary>
    public static List<InetSocketState> Arriving()
    {
        const int TCP_CLOSE_WAIT = 8;
        const uint States = 1u << TCP_ESTABLISHED | 1u << TCP_SYN_RECV | 1u << TCP_CLOSE_WAIT;
        return [.. List(AF_INET, States).Concat(List(AF_INET6, States)).Where(socket => socket.Inode == 0)];
    }

    public static List<InetSocketState> Connecting() => [.. List(AF_INET, 1 << TCP_SYN_SENT), .. List(AF_INET6, 1 << TCP_SYN_SENT)];
    public static List<InetSocketState> Listening() => [.. List(AF_INET, 1 << TCP_LISTEN), .. List(AF_INET6, 1 << TCP_LISTEN)];

    /// <summary>Inodes of the sockets whose segments are signed, listeners included; none where the kernel has no sock_diag for TCP.</summary>
    public static HashSet<uint> Signed()
    {
        try
        {
            // Told together with the extended information only (net/ipv4/inet_diag.c, inet_sk_diag_fill).
            const int Information = 1 << (INET_DIAG_INFO - 1);
            return [.. List(AF_INET, uint.MaxValue, Information).Concat(List(AF_INET6, uint.MaxValue, Information)).Where(socket => socket.Signed).Select(socket => socket.Inode)];
        }
        catch (KernelRefusal refusal) when (refusal.Errno is Errno.ENOENT or Errno.EINVAL or Errno.EPROTONOSUPPORT)
        {
            return [];
        }
    }

    /// <summary>The peer of a connection that begins. ENOENT when there is no such.</summary>
    public static (SysResult Result, byte[] Address) Peer(int socket)
    {
        uint inode = unchecked((uint)Files.Status(socket).Status.Inode);
        foreach (int family in (int[])[AF_INET, AF_INET6])
            if (List(family, 1 << TCP_SYN_SENT).FirstOrDefault(found => found.Inode == inode) is { } found)
                return (new SysResult(0), found.Peer);
        return (SysResult.Error(Errno.ENOENT), []);
    }

    private static List<InetSocketState> List(int family, uint states, int extensions = 0)
    {
        List<InetSocketState> sockets = [];
        SockDiag.Dump(Request(family, states, new byte[IdSize], extensions), bytes => { if (Parse(bytes) is { } socket) sockets.Add(socket); }, sockets.Clear);
        return sockets;
    }

    /// <summary>Ends a socket that waits out its time behind a closed connection. EOPNOTSUPP on kernels without SOCK_DESTROY.</summary>
    public static SysResult End(InetSocketState socket) => SockDiag.Ask(SOCK_DESTROY, Request(socket.Family, 1u << socket.State, socket.Id));

    // struct inet_diag_req_v2: family, protocol, ext, pad, states, id
    private static byte[] Request(int family, uint states, byte[] id, int extensions = 0)
    {
        byte[] request = new byte[RequestSize];
        (request[0], request[1], request[2]) = ((byte)family, IPPROTO_TCP, (byte)extensions);
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(4), states);
        id.CopyTo(request, 8);
        return request;
    }

    /// <summary>struct inet_diag_msg; null when the bytes are too short.</summary>
    public static InetSocketState? Parse(ReadOnlySpan<byte> message)
    {
        const int ReceiveQueueOffset = 56, InodeOffset = 68;
        if (message.Length < InodeOffset + 4) return null;
        ReadOnlySpan<byte> id = message.Slice(4, IdSize); // ports, addresses, interface, cookie
        int family = message[0];
        return new InetSocketState(family, message[1], Address(family, id[..2], id.Slice(4, 16), id.Slice(36, 4)), Address(family, id.Slice(2, 2), id.Slice(20, 16), id.Slice(36, 4)),
            id.ToArray(), BinaryPrimitives.ReadInt32LittleEndian(message[ReceiveQueueOffset..]), BinaryPrimitives.ReadUInt32LittleEndian(message[InodeOffset..]), HasAttribute(message[(InodeOffset + 4)..], INET_DIAG_MD5SIG));
    }

    private static bool HasAttribute(ReadOnlySpan<byte> attributes, int type)
    {
        while (attributes.Length >= 4)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(attributes);
            if (BinaryPrimitives.ReadUInt16LittleEndian(attributes[2..]) == type) return true;
            if (length < 4 || length > attributes.Length) return false;
            attributes = attributes[Math.Min((length + 3) & ~3, attributes.Length)..];
        }
        return false;
    }

    private static byte[] Address(int family, ReadOnlySpan<byte> port, ReadOnlySpan<byte> host, ReadOnlySpan<byte> scope)
    {
        byte[] address = new byte[family == AF_INET ? 16 : 28];
        address[0] = (byte)family;
        port.CopyTo(address.AsSpan(2));
        if (family == AF_INET) host[..4].CopyTo(address.AsSpan(4));
        else
        {
            host.CopyTo(address.AsSpan(8));
            if (host[0] == 0xfe && (host[1] & 0xc0) == 0x80) scope.CopyTo(address.AsSpan(24)); // link-local only
        }
        return address;
    }
}
