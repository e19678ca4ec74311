using System.Buffers.Binary;
using Stasis.Linux;

namespace Stasis.State.Descriptors.IoUring;

/// <summary>Completions that no request of the ring itself causes (a program's requests may have had several each): sent from a ring of ours (IORING_OP_MSG_RING).</summary>
internal static class RingMessages
{
    private const uint Places = 64;

    /// <param name="look">Lets the receiver take what was sent, where it does so itself.</param>
    public static void Send(int ring, uint count, Action look)
    {
        (SysResult made, RingLayout layout) = IoUrings.Setup(Places, 2 * Places, 0);
        using var sender = new DescriptorHandle(made.OrThrowDescriptor("io_uring_setup of a ring of our own"));
        using var rings = new RingMemory(sender.Number, IoUrings.IORING_OFF_SQ_RING, (int)(layout.CompletionEntries + layout.Completions * 16 + 4095 + layout.Entries * 4) & ~4095);
        using var requests = new RingMemory(sender.Number, IoUrings.IORING_OFF_SQES, (int)layout.Entries * 64);
        for (uint i = 0; i < layout.Entries; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(rings.Bytes[(int)(layout.Array + i * 4)..], i);
            Span<byte> request = requests.Bytes.Slice((int)i * 64, 64);
            request[0] = IoUrings.IORING_OP_MSG_RING; // struct io_uring_sqe: opcode 1, flags 1, ioprio 2, fd 4, …; addr 0 is IORING_MSG_DATA
            BinaryPrimitives.WriteInt32LittleEndian(request[4..], ring);
        }
        while (count > 0)
        {
            uint batch = Math.Min(count, layout.Entries);
            rings[layout.SubmissionTail] += batch;
            IoUrings.Enter(sender.Number, batch, 0).OrThrow("io_uring_enter with messages to another ring");
            rings[layout.CompletionHead] = rings[layout.CompletionTail];
            count -= batch;
        }
        look();
    }
}
