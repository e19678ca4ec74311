using System.Buffers.Binary;
using Stasis.Linux;

namespace Stasis.State.Descriptors.IoUring;

/// <summary>
/// Brings a new ring's counters to where they were. They count from the ring's making on and can't be set, and programs keep copies of
/// them: so the kernel gets as many requests that do nothing (IORING_OP_NOP), in batches as large as the queues. What it tells of them
/// goes where the completions queue's memory is overwritten afterwards.
/// </summary>
internal sealed class RingCounters(IoUringRecord record, RingLayout layout, RingMemory rings, RingMemory requests)
{
    /// <summary>More would take a restart minutes. Where only a thread of the program may submit, each batch takes a tape of it.</summary>
    public const uint Most = 1u << 30, MostBatches = 1u << 20;

    /// <param name="enter">Has the kernel take that many times as many requests as there are places.</param>
    /// <param name="sendExtra">Sends that many completions from another ring.</param>
    public void Advance(Action<int> enter, Action<uint> sendExtra)
    {
        uint skipped = record.Taken > record.Completed ? record.Taken - record.Completed : 0, extra = record.Completed > record.Taken ? record.Completed - record.Taken : 0;
        if (skipped > 0)
        {
            FillRequests(IoUrings.IOSQE_CQE_SKIP_SUCCESS);
            Take(skipped, enter, roomForCompletions: false);
        }
        FillRequests(0);
        Take(record.Taken - skipped, enter, roomForCompletions: true);
        while (extra > 0)
        {
            uint batch = Math.Min(extra, layout.Completions);
            FreeCompletions();
            sendExtra(batch);
            extra -= batch;
        }
        InvariantBroken.Require(rings[layout.SubmissionHead] == record.Taken && rings[layout.CompletionTail] == record.Completed, $"an io_uring stands at {rings[layout.SubmissionHead]} and {rings[layout.CompletionTail]}, not at {record.Taken} and {record.Completed}");
    }

    private void FillRequests(byte flags)
    {
        requests.Bytes.Clear();
        int size = (record.SetupFlags & IoUrings.IORING_SETUP_SQE128) != 0 ? 128 : 64;
        for (int i = 0; i < layout.Entries; i++) requests.Bytes[i * size + 1] = flags; // opcode 0 is IORING_OP_NOP
        if ((record.SetupFlags & IoUrings.IORING_SETUP_NO_SQARRAY) != 0) return;
        for (uint i = 0; i < layout.Entries; i++) BinaryPrimitives.WriteUInt32LittleEndian(rings.Bytes[(int)(layout.Array + i * 4)..], i);
    }

    // The kernel takes no more than there are places at a time, however far ahead the tail is.
    private void Take(uint count, Action<int> enter, bool roomForCompletions)
    {
        uint end = rings[layout.SubmissionTail] + count;
        int most = roomForCompletions ? (int)(layout.Completions / layout.Entries) : 256;
        rings[layout.SubmissionTail] = end;
        for (uint at = rings[layout.SubmissionHead]; at != end; at = rings[layout.SubmissionHead])
        {
            if (roomForCompletions) FreeCompletions();
            enter((int)Math.Min(most, (end - at + layout.Entries - 1) / layout.Entries));
            if (rings[layout.SubmissionHead] == at) throw new KernelRefusal("io_uring_enter with requests that do nothing", Errno.EBUSY);
        }
    }

    // Never further than the program had: the kernel remembers how much room it saw last, and must not write over what is to wait there.
    private void FreeCompletions()
    {
        uint tail = rings[layout.CompletionTail], head = BinaryPrimitives.ReadUInt32LittleEndian(_content.AsSpan((int)layout.CompletionHead));
        rings[layout.CompletionHead] = Math.Min(tail, head);
    }

    private byte[] _content = [];

    /// <summary>The memory as it was, over what the counting left.</summary>
    public byte[] Content
    {
        get => _content;
        init => _content = value;
    }

    public void Fill()
    {
        _content.AsSpan(0, record.RingsLength).CopyTo(rings.Bytes);
        _content.AsSpan(record.RingsLength, record.RequestsLength).CopyTo(requests.Bytes);
    }
}
