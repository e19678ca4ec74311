using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>A packet socket's membership: promiscuous (1), all multicast (2), or one multicast (0) or unicast (3) hardware address.</summary>
public sealed record PacketMembership(int Interface, int Type, byte[] Address);

/// <summary>How a packet socket's ring of received packets was asked for (PACKET_RX_RING; struct tpacket_req3). The timeout in milliseconds.</summary>
public sealed record PacketRingShape(int BlockSize, int Blocks, int FrameSize, int Frames, int Timeout, int PrivateSize, int Features);

/// <summary>A packet socket as the kernel tells it (include/uapi/linux/packet_diag.h).</summary>
public sealed record PacketSocketState(uint Inode, IReadOnlyList<PacketMembership> Memberships, PacketRingShape? Ring, bool Sends)
{
    /// <summary>The number of the group that it shares its packets with (PACKET_FANOUT); -1 without.</summary>
    public int Fanout { get; init; } = -1;
}

/// <summary>All packet sockets of our network namespace.</summary>
public static class SockDiagPacket
{
    private const int AF_PACKET = 17, PACKET_SHOW_MCLIST = 2, PACKET_SHOW_RING_CFG = 4, PACKET_SHOW_FANOUT = 8;
    private const int PACKET_DIAG_MCLIST = 1, PACKET_DIAG_RX_RING = 2, PACKET_DIAG_TX_RING = 3, PACKET_DIAG_FANOUT = 4, MembershipSize = 44;

    public static Dictionary<uint, PacketSocketState> All()
    {
        // struct packet_diag_req: family, protocol, padding, inode, what to show, cookie.
        Span<byte> request = stackalloc byte[20];
        request.Clear();
        request[0] = AF_PACKET;
        BinaryPrimitives.WriteUInt32LittleEndian(request[8..], PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT);
        Dictionary<uint, PacketSocketState> sockets = [];
        SockDiag.Dump(request, bytes => { if (Parse(bytes) is { } socket) sockets[socket.Inode] = socket; }, sockets.Clear);
        return sockets;
    }

    /// <summary>struct packet_diag_msg and its attributes; null when the bytes are too short.</summary>
    public static PacketSocketState? Parse(ReadOnlySpan<byte> message)
    {
        const int MessageSize = 16;
        if (message.Length < MessageSize) return null;
        var socket = new PacketSocketState(BinaryPrimitives.ReadUInt32LittleEndian(message[4..]), [], null, false);
        for (int at = MessageSize; at + 4 <= message.Length;)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(message[at..]);
            if (length < 4 || at + length > message.Length) break;
            ReadOnlySpan<byte> value = message.Slice(at + 4, length - 4);
            socket = BinaryPrimitives.ReadUInt16LittleEndian(message[(at + 2)..]) switch
            {
                PACKET_DIAG_MCLIST => socket with { Memberships = Memberships(value) },
                PACKET_DIAG_RX_RING => socket with { Ring = Shape(value) },
                PACKET_DIAG_TX_RING => socket with { Sends = true },
                PACKET_DIAG_FANOUT when value.Length >= 4 => socket with { Fanout = BinaryPrimitives.ReadUInt16LittleEndian(value) },
                _ => socket,
            };
            at += (length + 3) & ~3;
        }
        return socket;
    }

    // struct packet_diag_ring: size and number of blocks, then of frames, timeout, private size, features.
    private static PacketRingShape? Shape(ReadOnlySpan<byte> ring)
    {
        if (ring.Length < 28) return null;
        ReadOnlySpan<int> fields = MemoryMarshal.Cast<byte, int>(ring[..28]);
        return new PacketRingShape(fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]);
    }

    // struct packet_diag_mclist: interface, count, type, length of the address, address.
    private static List<PacketMembership> Memberships(ReadOnlySpan<byte> list)
    {
        List<PacketMembership> memberships = [];
        for (; list.Length >= MembershipSize; list = list[MembershipSize..])
            memberships.Add(new PacketMembership(MemoryMarshal.Read<int>(list), MemoryMarshal.Read<ushort>(list[8..]), list.Slice(12, Math.Min((int)MemoryMarshal.Read<ushort>(list[10..]), 8)).ToArray()));
        return memberships;
    }
}
