using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>struct ucred (man 7 unix, SCM_CREDENTIALS).</summary>
public readonly record struct SocketCredentials(int Pid, uint Uid, uint Gid)
{
    public const int Size = 12;

    public static SocketCredentials Read(ReadOnlySpan<byte> bytes) =>
        new(BinaryPrimitives.ReadInt32LittleEndian(bytes), BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]), BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]));
}

/// <summary>A message with what comes along beside its bytes. The descriptors are ours to close.</summary>
/// <param name="Result">The whole length of the message; it may be longer than the buffer.</param>
/// <param name="Credentials">null when the receiver does not ask for them.</param>
/// <param name="Destination">The internet address that it was sent to, 4 or 16 bytes; empty when the receiver does not ask for it.</param>
public sealed record SocketMessage(SysResult Result, byte[] Sender, int Flags, DescriptorHandle[] Descriptors, SocketCredentials? Credentials, byte[] Destination);

/// <summary>recvmsg(2) and sendmsg(2) with ancillary data (man 3 cmsg).</summary>
public static unsafe class SocketMessages
{
    private const int SCM_RIGHTS = 1, SCM_CREDENTIALS = 2, SCM_PIDFD = 4, IPV6_PKTINFO = 50, MSG_CMSG_CLOEXEC = 0x40000000;
    private const int HeaderSize = 16, MaxAddress = 128, MaxDescriptors = 253 /* SCM_MAX_FD */, ControlSize = 4096;

    /// <summary>As <see cref="Sockets.Peek"/>, with descriptors and credentials. Each look makes new descriptors of the same open file descriptions.</summary>
    public static SocketMessage Peek(int socket, Span<byte> buffer)
    {
        byte* sender = stackalloc byte[MaxAddress];
        byte* control = stackalloc byte[ControlSize];
        fixed (byte* pointer = buffer)
        {
            nint* vector = stackalloc nint[2] { (nint)pointer, buffer.Length };
            SocketMessageHeader header = new() { msg_name = (nint)sender, msg_namelen = MaxAddress, msg_iov = (nint)vector, msg_iovlen = 1, msg_control = (nint)control, msg_controllen = ControlSize };
            SysResult result = Kernel.CallRetrying(Syscall.recvmsg, socket, (nint)(&header),
                SocketConstants.MSG_PEEK | SocketConstants.MSG_DONTWAIT | SocketConstants.MSG_TRUNC | MSG_CMSG_CLOEXEC);
            if (result.Failed) return new SocketMessage(result, [], 0, [], null, []);
            byte[] from = new ReadOnlySpan<byte>(sender, Math.Clamp(header.msg_namelen, 0, MaxAddress)).ToArray();
            return Parse(new ReadOnlySpan<byte>(control, (int)Math.Clamp(header.msg_controllen, 0, ControlSize)), new SocketMessage(result, from, header.msg_flags, [], null, []));
        }
    }

    /// <summary>
    /// How many bytes at the front of a stream were sent in pieces that fit whole into the buffer; 0 when the first does not. The
    /// kernel hides the borders, but it copies piece by piece, and one that it can't copy whole it does not count (net/unix/af_unix.c,
    /// unix_stream_read_generic): behind the buffer comes memory that is not there.
    /// </summary>
    public static SysResult PeekWhole(int socket, Span<byte> buffer)
    {
        const nint NotMapped = 4096; // below vm.mmap_min_addr
        fixed (byte* pointer = buffer)
        {
            nint* vector = stackalloc nint[4] { (nint)pointer, buffer.Length, NotMapped, 1 << 30 };
            SocketMessageHeader header = new() { msg_iov = buffer.Length > 0 ? (nint)vector : (nint)(vector + 2), msg_iovlen = buffer.Length > 0 ? 2 : 1 };
            SysResult result = Kernel.CallRetrying(Syscall.recvmsg, socket, (nint)(&header), SocketConstants.MSG_PEEK | SocketConstants.MSG_DONTWAIT);
            return result.Errno == Errno.EFAULT ? new SysResult(0) : result;
        }
    }

    private static SocketMessage Parse(ReadOnlySpan<byte> control, SocketMessage message)
    {
        List<DescriptorHandle> descriptors = [];
        SocketCredentials? credentials = null;
        byte[] destination = [];
        while (control.Length >= HeaderSize)
        {
            int length = (int)Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(control), (ulong)control.Length);
            if (length < HeaderSize) break;
            ReadOnlySpan<byte> data = control[HeaderSize..length];
            (int level, int type) = (BinaryPrimitives.ReadInt32LittleEndian(control[8..]), BinaryPrimitives.ReadInt32LittleEndian(control[12..]));
            if (level == SocketConstants.SOL_SOCKET && type == SCM_RIGHTS)
                foreach (int descriptor in MemoryMarshal.Cast<byte, int>(data[..(data.Length & ~3)])) descriptors.Add(new DescriptorHandle(descriptor));
            else if (level == SocketConstants.SOL_SOCKET && type == SCM_CREDENTIALS && data.Length >= SocketCredentials.Size) credentials = SocketCredentials.Read(data);
            else if (level == SocketConstants.SOL_SOCKET && type == SCM_PIDFD && data.Length >= 4 && MemoryMarshal.Read<int>(data) is >= 0 and var pidfd) Files.Close(pidfd);
            // struct in_pktinfo: interface, local address, destination; struct in6_pktinfo: destination, interface.
            else if (level == SocketConstants.SOL_IP && type == SocketConstants.IP_PKTINFO && data.Length >= 12) destination = data[8..12].ToArray();
            else if (level == SocketConstants.SOL_IPV6 && type == IPV6_PKTINFO && data.Length >= 16) destination = data[..16].ToArray();
            control = control[Math.Min((length + 7) & ~7, control.Length)..];
        }
        return message with { Descriptors = [.. descriptors], Credentials = credentials, Destination = destination };
    }

    /// <summary>sendto with descriptors and credentials. Credentials that are not our own take CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID, and a process with that id.</summary>
    public static SysResult Send(int socket, ReadOnlySpan<byte> message, ReadOnlySpan<byte> address, ReadOnlySpan<int> descriptors, SocketCredentials? credentials)
    {
        if (descriptors.Length > MaxDescriptors) return SysResult.Error(Errno.EINVAL);
        byte* control = stackalloc byte[ControlSize];
        int used = 0;
        if (descriptors.Length > 0) used += Add(control, SCM_RIGHTS, MemoryMarshal.AsBytes(descriptors));
        if (credentials is { } given) used += Add(control + used, SCM_CREDENTIALS, MemoryMarshal.AsBytes<uint>([unchecked((uint)given.Pid), given.Uid, given.Gid]));
        fixed (byte* pointer = message)
        fixed (byte* to = address)
        {
            nint* vector = stackalloc nint[2] { (nint)pointer, message.Length };
            SocketMessageHeader header = new() { msg_name = (nint)to, msg_namelen = address.Length, msg_iov = (nint)vector, msg_iovlen = 1, msg_control = used == 0 ? 0 : (nint)control, msg_controllen = used };
            return Kernel.CallRetrying(Syscall.sendmsg, socket, (nint)(&header), SocketConstants.MSG_DONTWAIT | SocketConstants.MSG_NOSIGNAL);
        }
    }

    private static int Add(byte* control, int type, ReadOnlySpan<byte> data)
    {
        int length = HeaderSize + data.Length, space = (length + 7) & ~7;
        Unsafe.InitBlockUnaligned(control, 0, (uint)space);
        *(ulong*)control = (ulong)length;
        *(int*)(control + 8) = SocketConstants.SOL_SOCKET;
        *(int*)(control + 12) = type;
        data.CopyTo(new Span<byte>(control + HeaderSize, data.Length));
        return space;
    }
}

/// <summary>struct user_msghdr, include/linux/socket.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SocketMessageHeader
{
    public nint msg_name;
    public int msg_namelen;
    public nint msg_iov;
    public nint msg_iovlen;
    public nint msg_control;
    public nint msg_controllen;
    public int msg_flags;
}
