using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>One UNIX socket as the kernel tells it (include/uapi/linux/unix_diag.h). Inodes are those of "socket:[N]" links.</summary>
/// <param name="Name">The bytes of sun_path up to the address's length: empty when unnamed; a leading zero byte makes it abstract.</param>
/// <param name="FileInode">Low half of the inode of the socket's file; 0 without one.</param>
/// <param name="FileDevice">The kernel's own form: major shifted left by 20, or minor.</param>
/// <param name="Peer">Inode of the peer; 0 when it has been closed or was not accepted yet; null when there is none.</param>
/// <param name="WaitingClients">Of a listener: inodes of connected sockets that nobody has accepted; 0 for one that its client closed already.</param>
/// <param name="ReceiveQueue">Bytes waiting; of a listener, clients waiting.</param>
/// <param name="SendQueue">Bytes on their way; of a listener, its backlog.</param>
/// <param name="Shutdown">1 no more receiving, 2 no more sending.</param>
public sealed record UnixSocketState(uint Inode, int Type, int State, byte[] Name, uint FileInode, uint FileDevice, uint? Peer,
    IReadOnlyList<uint> WaitingClients, uint ReceiveQueue, uint SendQueue, int Shutdown);

/// <summary>All UNIX sockets of our network namespace, also those without a descriptor.</summary>
public static class SockDiagUnix
{
    private const int UDIAG_SHOW_NAME = 1, UDIAG_SHOW_VFS = 2, UDIAG_SHOW_PEER = 4, UDIAG_SHOW_ICONS = 8, UDIAG_SHOW_RQLEN = 0x10;
    private const int UNIX_DIAG_NAME = 0, UNIX_DIAG_VFS = 1, UNIX_DIAG_PEER = 2, UNIX_DIAG_ICONS = 3, UNIX_DIAG_RQLEN = 4, UNIX_DIAG_SHUTDOWN = 6;

    public static Dictionary<uint, UnixSocketState> All()
    {
        // struct unix_diag_req
        Span<byte> request = stackalloc byte[24];
        request.Clear();
        request[0] = SocketConstants.AF_UNIX;
        BinaryPrimitives.WriteUInt32LittleEndian(request[4..], uint.MaxValue);
        BinaryPrimitives.WriteUInt32LittleEndian(request[12..], UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN);
        Dictionary<uint, UnixSocketState> sockets = [];
        SockDiag.Dump(request, bytes => { if (Parse(bytes) is { Inode: not 0 } socket) sockets[socket.Inode] = socket; }, sockets.Clear);
        return sockets;
    }

    /// <summary>struct unix_diag_msg and its attributes; null when the bytes are too short.</summary>
    public static UnixSocketState? Parse(ReadOnlySpan<byte> message)
    {
        const int MessageSize = 16;
        if (message.Length < MessageSize) return null;
        var socket = new UnixSocketState(BinaryPrimitives.ReadUInt32LittleEndian(message[4..]), message[1], message[2], [], 0, 0, null, [], 0, 0, 0);
        for (int at = MessageSize; at + 4 <= message.Length;)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(message[at..]);
            if (length < 4 || at + length > message.Length) break;
            socket = WithAttribute(socket, BinaryPrimitives.ReadUInt16LittleEndian(message[(at + 2)..]), message.Slice(at + 4, length - 4));
            at += (length + 3) & ~3;
        }
        return socket;
    }

    private static UnixSocketState WithAttribute(UnixSocketState socket, int type, ReadOnlySpan<byte> value) => type switch
    {
        UNIX_DIAG_NAME => socket with { Name = value.ToArray() },
        UNIX_DIAG_VFS when value.Length >= 8 => socket with { FileInode = MemoryMarshal.Read<uint>(value), FileDevice = MemoryMarshal.Read<uint>(value[4..]) },
        UNIX_DIAG_PEER when value.Length >= 4 => socket with { Peer = MemoryMarshal.Read<uint>(value) },
        UNIX_DIAG_ICONS => socket with { WaitingClients = MemoryMarshal.Cast<byte, uint>(value[..(value.Length & ~3)]).ToArray() },
        UNIX_DIAG_RQLEN when value.Length >= 8 => socket with { ReceiveQueue = MemoryMarshal.Read<uint>(value), SendQueue = MemoryMarshal.Read<uint>(value[4..]) },
        UNIX_DIAG_SHUTDOWN when value.Length >= 1 => socket with { Shutdown = value[0] },
        _ => socket,
    };
}
