namespace Stasis.State.AsynchronousIo;

/// <summary>An idle context of asynchronous I/O (man 2 io_setup): its name is the address of a mapping that the kernel writes completions to.</summary>
/// <param name="MaxRequests">What io_setup was asked for.</param>
/// <param name="Content">The mapping's bytes: struct aio_ring, and completions (struct io_event).</param>
public sealed record AsyncContextRecord(ulong Address, uint MaxRequests, byte[] Content)
{
    public const int HeaderLength = 32, EventLength = 32, MaxLength = 64 * 1024 * 1024;

    // struct aio_ring (fs/aio.c): id, nr, head, tail
    [System.Text.Json.Serialization.JsonIgnore]
    public uint Places => BitConverter.ToUInt32(Content, 4);
    [System.Text.Json.Serialization.JsonIgnore]
    public uint Head => BitConverter.ToUInt32(Content, 8);
    [System.Text.Json.Serialization.JsonIgnore]
    public uint Tail => BitConverter.ToUInt32(Content, 12);

    [System.Text.Json.Serialization.JsonIgnore]
    public bool WellFormed => Content.Length is >= 4096 and <= MaxLength && Content.Length % 4096 == 0 && MaxRequests > 0 && Places > 1 && Places <= (uint)(Content.Length - HeaderLength) / EventLength && Head < Places && Tail < Places;
}
