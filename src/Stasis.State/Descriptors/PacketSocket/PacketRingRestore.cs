using System.Runtime.InteropServices;
using Stasis.Linux;
using static Stasis.State.Descriptors.PacketSocket.PacketRingCapture;

namespace Stasis.State.Descriptors.PacketSocket;

/// <summary>Gives a packet socket that does not hear anything yet a ring with content, in which the kernel stands at the beginning.</summary>
internal static class PacketRingRestore
{
    private const int SOL_PACKET = 263, PACKET_RX_RING = 5, MostBytes = 1 << 30, HeaderLength = 48;

    public static string? Damage(PacketRing ring, Func<string, bool> hasStored)
    {
        PacketRingShape shape = ring.Shape;
        if (ring.Version is < 0 or > V3 || shape.BlockSize <= 0 || shape.BlockSize % 4096 != 0 || shape.Blocks <= 0 || (long)shape.BlockSize * shape.Blocks > MostBytes) return "the size of its ring is impossible";
        if (shape.FrameSize <= 0 || shape.FrameSize > shape.BlockSize || shape.Frames != shape.BlockSize / shape.FrameSize * shape.Blocks || shape.Timeout < 0) return "the frames of its ring are impossible";
        if (ring.Version == V3 && (shape.PrivateSize < 0 || shape.PrivateSize > shape.BlockSize - HeaderLength)) return "the blocks of its ring are impossible";
        return hasStored(ring.Stored) ? null : "what its ring held is missing";
    }

    public static void Run(int socket, PacketRing ring, byte[] content)
    {
        PacketRingShape shape = ring.Shape;
        if (content.Length != ring.Length) throw new KernelRefusal("the ring of a packet socket has another length than its record says", Errno.EINVAL);
        // struct tpacket_req, and for version 3 struct tpacket_req3.
        int[] request = ring.Version == V3 ? [shape.BlockSize, shape.Blocks, shape.FrameSize, shape.Frames, shape.Timeout, shape.PrivateSize, shape.Features] : [shape.BlockSize, shape.Blocks, shape.FrameSize, shape.Frames];
        Linux.Sockets.SetOption(socket, SOL_PACKET, PACKET_RX_RING, MemoryMarshal.AsBytes<int>(request)).OrThrow($"setsockopt(PACKET_RX_RING) of {shape.Blocks} blocks of {shape.BlockSize} bytes");
        using var memory = new RingMemory(socket, 0, (int)ring.Length);
        // The first block of version 3 the kernel has opened already: of that only what is the program's own.
        int first = ring.Version == V3 ? shape.BlockSize : 0, own = ring.Version == V3 ? shape.PrivateSize : 0;
        content.AsSpan(HeaderLength, own).CopyTo(memory.Bytes[HeaderLength..]);
        content.AsSpan(first).CopyTo(memory.Bytes[first..]);
    }
}
