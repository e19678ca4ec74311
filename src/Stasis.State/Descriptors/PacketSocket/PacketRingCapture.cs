using System.Runtime.InteropServices;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.PacketSocket;

/// <summary>
/// Reads a ring while packets still arrive: the kernel fills it whether its program is frozen or not. What the program was given stands still;
/// what comes later than the copy comes later than the checkpoint. (include/uapi/linux/if_packet.h; Documentation/networking/packet_mmap.rst;
/// where the kernel stands in a ring is told by no call.)
/// </summary>
internal sealed class PacketRingCapture
{
    public const int V3 = 2;
    private const int PageSize = 4096, MostRounds = 100;
    private const int TP_STATUS_KERNEL = 0, TP_STATUS_USER = 1, TP_STATUS_BLK_TMO = 1 << 5;
    // struct tpacket_block_desc, struct tpacket_hdr_v1; struct tpacket3_hdr.
    private const int BlockStatus = 8, BlockPackets = 12, BlockFirst = 16, BlockLast = 40, PacketNext = 0, PacketSeconds = 4, PacketNanoseconds = 8;

    private readonly PacketRingShape _shape;
    private readonly int _version;
    private readonly KernelObject _socket;

    private PacketRingCapture(PacketRingShape shape, int version, KernelObject socket) => (_shape, _version, _socket) = (shape, version, socket);

    private int Length => checked(_shape.BlockSize * _shape.Blocks);

    /// <summary>The ring of a descriptor of ours that is a packet socket.</summary>
    public static PacketRingCapture Of(int own, PacketRingShape shape, int version) => new(shape, version, KernelSocket.Of(own, "packet_sock"));

    public int CopyThreshold => (int)_socket["copy_thresh"];

    /// <summary>Packets that were too large for a frame (TP_STATUS_COPY) and wait as if there were no ring.</summary>
    public int PacketsBeside => CopyThreshold == 0 ? 0 : (int)_socket["sk.sk_receive_queue.qlen"];

    /// <summary>The block of version 3 that the kernel fills, or would if it were free.</summary>
    private int Block => (int)_socket["rx_ring.prb_bdqc.kactive_blk_num"];

    private bool BlockTaken => _socket["rx_ring.prb_bdqc.reset_pending_on_curr_blk"] != 0;

    // Packets have their places before they are copied there; who copies them holds this for reading.
    private bool AtWork => KernelSight.Has("packet_sock", Lock) ? _socket[Lock] != 0 : _socket["rx_ring.prb_bdqc.blk_fill_in_prog"] != 0;
    private const string Lock = "rx_ring.prb_bdqc.blk_fill_in_prog_lock.raw_lock.cnts";

    /// <summary>Why this ring can't be carried just now, and what to do; null when it can.</summary>
    public (string Why, string Advice)? Problem()
    {
        if (_version == V3) return BlockTaken ? ("every block of this packet socket's ring waits to be read", "try again in a moment, when the program has read some") : null;
        return PlaceOfFrame((int)_socket["rx_ring.head"]) is null ? ("the next packet of this packet socket's ring has its place within a page, where no new ring can begin", "try again when another packet has come") : null;
    }

    // Where a new ring could begin so that its first frame is this one; null when frames and pages don't meet there.
    private int? PlaceOfFrame(int frame)
    {
        int inBlock = _shape.BlockSize / _shape.FrameSize, place = frame / inBlock * _shape.BlockSize + frame % inBlock * _shape.FrameSize;
        bool even = inBlock * _shape.FrameSize == _shape.BlockSize;
        return frame % inBlock == 0 || even && place % PageSize == 0 ? place : null;
    }

    /// <summary>The ring's bytes from where the kernel goes on, and where in the old ring that is. null when packets come too fast, or <see cref="Problem"/> has come up.</summary>
    public (byte[] Content, int From)? Take(int socket)
    {
        using var ring = new RingMemory(socket, 0, Length);
        int before = _version == V3 ? Block : 0;
        byte[] content = ring.Bytes.ToArray();
        int? from = _version == V3 ? TakeBlocks(ring, content, before) : TakeFrames(ring, content);
        return from is { } place ? ([.. content[place..], .. content[..place]], place) : null;
    }

    // A frame's status is set when it is complete, but its place is given away before.
    private int? TakeFrames(RingMemory ring, byte[] content)
    {
        for (int round = 0; round < MostRounds; round++)
        {
            int head = (int)_socket["rx_ring.head"];
            Pause.Microseconds(200);
            ring.Bytes.CopyTo(content);
            if ((int)_socket["rx_ring.head"] == head) return PlaceOfFrame(head);
        }
        return null;
    }

    // The copy was begun when the kernel was at the block given.
    private int? TakeBlocks(RingMemory ring, byte[] content, int from)
    {
        Span<byte> Of(int block) => content.AsSpan(block * _shape.BlockSize, _shape.BlockSize);
        for (int round = 0; round < MostRounds; round++)
        {
            // What has changed since the last copy lies from where the kernel was to where it is.
            int active = Block;
            for (int block = from; ; block = (block + 1) % _shape.Blocks)
            {
                ring.Bytes.Slice(block * _shape.BlockSize, _shape.BlockSize).CopyTo(Of(block));
                if (block == active) break;
            }
            from = active;
            if (BlockTaken) return null;
            if (AtWork || Block != active || MemoryMarshal.Read<int>(ring.Bytes[(active * _shape.BlockSize + BlockPackets)..]) != Number(Of(active), BlockPackets)) continue;
            if (Number(Of(active), BlockStatus) != TP_STATUS_KERNEL) return null;
            if (Number(Of(active), BlockPackets) == 0) return active * _shape.BlockSize;
            // What it has begun to fill is given to the program as it is, as when its time is up.
            int next = (active + 1) % _shape.Blocks;
            if (Number(Of(next), BlockStatus) != TP_STATUS_KERNEL || !Close(Of(active))) return null;
            return next * _shape.BlockSize;
        }
        return null;
    }

    private static int Number(ReadOnlySpan<byte> bytes, int place) => MemoryMarshal.Read<int>(bytes[place..]);

    private static bool Close(Span<byte> block)
    {
        int at = Number(block, BlockFirst);
        for (int left = Number(block, BlockPackets); left > 0; left--)
        {
            if (at < 0 || at > block.Length - PacketNanoseconds - 4) return false;
            if (left > 1) at += Number(block, at + PacketNext);
        }
        MemoryMarshal.Write(block[(at + PacketNext)..], 0);
        block.Slice(at + PacketSeconds, 8).CopyTo(block[BlockLast..]); // seconds and nanoseconds
        MemoryMarshal.Write(block[BlockStatus..], TP_STATUS_USER | TP_STATUS_BLK_TMO);
        return true;
    }
}
