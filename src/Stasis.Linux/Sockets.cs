using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>Address families, types, levels and states of sockets (include/linux/socket.h, include/net/tcp_states.h).</summary>
public static class SocketConstants
{
    public const int AF_UNIX = 1, AF_INET = 2, AF_NETLINK = 16, AF_INET6 = 10;
    public const int SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3, SOCK_SEQPACKET = 5, SOCK_NONBLOCK = 0x800, SOCK_CLOEXEC = 0x80000;
    public const int SOL_SOCKET = 1, SOL_IP = 0, SOL_TCP = 6, SOL_UDP = 17, SOL_IPV6 = 41;
    public const int IPPROTO_ICMP = 1, IPPROTO_TCP = 6, IPPROTO_UDP = 17, IPPROTO_ICMPV6 = 58, IPPROTO_UDPLITE = 136, IPPROTO_RAW = 255, IPPROTO_MPTCP = 262;
    public const int SO_REUSEADDR = 2, SO_TYPE = 3, SO_ERROR = 4, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_PASSCRED = 16, SO_PEERCRED = 17,
        SO_ATTACH_FILTER = 26, SO_ACCEPTCONN = 30, SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33, SO_PROTOCOL = 38, SO_DOMAIN = 39,
        SO_PEEK_OFF = 42, SO_LOCK_FILTER = 44, SO_BUF_LOCK = 72, SO_PASSPIDFD = 76, SO_MEMINFO = 55, SO_LINGER = 13, SO_BINDTODEVICE = 25;
    public const int IP_PKTINFO = 8, IPV6_RECVPKTINFO = 49;
    public const int MSG_PEEK = 2, MSG_CTRUNC = 8, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000;
    public const int SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2;
    public const int TCP_ESTABLISHED = 1, TCP_CLOSE = 7, TCP_LISTEN = 10;
}

/// <summary>What a look into a receive queue gave: the whole length of the message (it may be longer than the buffer), its sender's address, and MSG flags.</summary>
public readonly record struct PeekedMessage(SysResult Result, byte[] Sender, int Flags);

/// <summary>Socket calls of our own process. Addresses are raw struct sockaddr bytes, family included.</summary>
public static unsafe class Sockets
{
    private const int MaxAddress = 128;

    public static SysResult Create(int family, int type, int protocol = 0) => Kernel.Call(Syscall.socket, family, type | SocketConstants.SOCK_CLOEXEC, protocol);

    public static (SysResult Result, int First, int Second) Pair(int family, int type)
    {
        int* pair = stackalloc int[2];
        SysResult result = Kernel.Call(Syscall.socketpair, family, type | SocketConstants.SOCK_CLOEXEC, 0, (nint)pair);
        return (result, pair[0], pair[1]);
    }

    public static SysResult Bind(int socket, ReadOnlySpan<byte> address)
    {
        fixed (byte* pointer = address) return Kernel.Call(Syscall.bind, socket, (nint)pointer, address.Length);
    }

    public static SysResult Connect(int socket, ReadOnlySpan<byte> address)
    {
        fixed (byte* pointer = address) return Kernel.CallRetrying(Syscall.connect, socket, (nint)pointer, address.Length);
    }

    public static SysResult Listen(int socket, int backlog) => Kernel.Call(Syscall.listen, socket, backlog);
    public static SysResult Accept(int socket) => Kernel.CallRetrying(Syscall.accept4, socket, 0, 0, SocketConstants.SOCK_CLOEXEC);
    public static SysResult Shutdown(int socket, int how) => Kernel.Call(Syscall.shutdown, socket, how);

    /// <summary>getsockname(2). An unnamed socket gives its family alone, or zeros behind it.</summary>
    public static (SysResult Result, byte[] Address) Name(int socket) => Address(Syscall.getsockname, socket);

    /// <summary>getpeername(2). ENOTCONN without a peer.</summary>
    public static (SysResult Result, byte[] Address) PeerName(int socket) => Address(Syscall.getpeername, socket);

    private static (SysResult, byte[]) Address(Syscall call, int socket)
    {
        byte* buffer = stackalloc byte[MaxAddress];
        int length = MaxAddress;
        SysResult result = Kernel.Call(call, socket, (nint)buffer, (nint)(&length));
        return (result, result.Failed ? [] : new ReadOnlySpan<byte>(buffer, Math.Min(length, MaxAddress)).ToArray());
    }

    /// <summary>getsockopt(2); the value is the length that the kernel says. <paramref name="declared"/>: the length told to the kernel where it isn't the buffer's.</summary>
    public static SysResult GetOption(int socket, int level, int name, Span<byte> value, int declared = -1)
    {
        int length = declared >= 0 ? declared : value.Length;
        fixed (byte* pointer = value)
        {
            SysResult result = Kernel.Call(Syscall.getsockopt, socket, level, name, (nint)pointer, (nint)(&length));
            return result.Failed ? result : new SysResult(length);
        }
    }

    public static SysResult SetOption(int socket, int level, int name, ReadOnlySpan<byte> value)
    {
        fixed (byte* pointer = value) return Kernel.Call(Syscall.setsockopt, socket, level, name, (nint)pointer, value.Length);
    }

    /// <summary>An option of int size; the errno as it is when there is no such option for this socket.</summary>
    public static SysResult GetOption(int socket, int level, int name)
    {
        int value = 0;
        SysResult result = GetOption(socket, level, name, MemoryMarshal.AsBytes(new Span<int>(ref value)));
        // A negative value (SO_PEEK_OFF is -1 when off) is a value here, no error.
        return result.Failed ? result : new SysResult((uint)value);
    }

    public static SysResult SetOption(int socket, int level, int name, int value) =>
        SetOption(socket, level, name, MemoryMarshal.AsBytes(new ReadOnlySpan<int>(ref value)));

    /// <summary>Attaches a classic packet filter: instructions of 8 bytes (struct sock_filter).</summary>
    public static SysResult AttachFilter(int socket, ReadOnlySpan<byte> instructions, int option = SocketConstants.SO_ATTACH_FILTER)
    {
        fixed (byte* pointer = instructions)
        {
            // struct sock_fprog: unsigned short len, then the pointer.
            nint* program = stackalloc nint[2] { instructions.Length / 8, (nint)pointer };
            return SetOption(socket, SocketConstants.SOL_SOCKET, option, new ReadOnlySpan<byte>(program, 16));
        }
    }

    public static SysResult Send(int socket, ReadOnlySpan<byte> message, ReadOnlySpan<byte> address = default, int flags = 0)
    {
        fixed (byte* pointer = message)
        fixed (byte* to = address)
            return Kernel.CallRetrying(Syscall.sendto, socket, (nint)pointer, message.Length,
                flags | SocketConstants.MSG_DONTWAIT | SocketConstants.MSG_NOSIGNAL, (nint)to, address.Length);
    }

    /// <summary>Looks at the next message (or, of a stream, at bytes) without taking it. Ancillary data is left out and told by MSG_CTRUNC. EAGAIN when there is none.</summary>
    public static PeekedMessage Peek(int socket, Span<byte> buffer)
    {
        byte* sender = stackalloc byte[MaxAddress];
        fixed (byte* pointer = buffer)
        {
            nint* vector = stackalloc nint[2] { (nint)pointer, buffer.Length };
            SocketMessageHeader header = new() { msg_name = (nint)sender, msg_namelen = MaxAddress, msg_iov = (nint)vector, msg_iovlen = 1 };
            SysResult result = Kernel.CallRetrying(Syscall.recvmsg, socket, (nint)(&header),
                SocketConstants.MSG_PEEK | SocketConstants.MSG_DONTWAIT | SocketConstants.MSG_TRUNC);
            byte[] from = result.Failed ? [] : new ReadOnlySpan<byte>(sender, Math.Clamp(header.msg_namelen, 0, MaxAddress)).ToArray();
            return new PeekedMessage(result, from, header.msg_flags);
        }
    }

    /// <summary>Looks at the next bytes of a TCP stream without taking them. (MSG_TRUNC, which tells a message's length, means to TCP that nobody wants the bytes.)</summary>
    public static SysResult PeekStream(int socket, Span<byte> buffer)
    {
        fixed (byte* pointer = buffer)
            return Kernel.CallRetrying(Syscall.recvfrom, socket, (nint)pointer, buffer.Length, SocketConstants.MSG_PEEK | SocketConstants.MSG_DONTWAIT, 0, 0);
    }

    /// <summary>The urgent byte of a TCP stream, left where it is. EINVAL when there is none, or it stands in line.</summary>
    public static SysResult PeekUrgent(int socket, Span<byte> value) => Urgent(socket, value, SocketConstants.MSG_PEEK);

    public static SysResult ReadUrgent(int socket, Span<byte> value) => Urgent(socket, value, 0);

    private static SysResult Urgent(int socket, Span<byte> value, int flags)
    {
        const int MSG_OOB = 1;
        fixed (byte* pointer = value)
            return Kernel.CallRetrying(Syscall.recvfrom, socket, (nint)pointer, 1, MSG_OOB | SocketConstants.MSG_DONTWAIT | flags, 0, 0);
    }
}
