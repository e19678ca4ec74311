using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>What the kernel holds of a socket, and the packets in its queues (include/linux/skbuff.h), for what no call tells without taking it.</summary>
public static class KernelSocket
{
    private const int MostBuffers = 1 << 20, MostFragments = 64;

    /// <summary>The struct sock of a descriptor of ours, as the larger struct that it is the beginning of.</summary>
    public static KernelObject Of(int own, string structure) =>
        new(structure, new KernelObject("socket", KernelSight.FilesOf(Environment.ProcessId)[own]["private_data"])["sk"]);

    /// <summary>The packets of a queue. Throws <see cref="KernelRefusal"/> where it changes meanwhile.</summary>
    public static List<KernelObject> Queue(KernelObject socket, string member, int most = MostBuffers)
    {
        ulong head = socket.At(member);
        List<KernelObject> buffers = [];
        for (ulong at = socket[$"{member}.next"]; at != head;)
        {
            if (at == 0 || buffers.Count >= most) throw new KernelRefusal($"read of {member}", Errno.EFAULT);
            var buffer = new KernelObject("sk_buff", at);
            buffers.Add(buffer);
            at = buffer["next"];
        }
        return buffers;
    }

    /// <summary>A packet's bytes from a place on (an offset from its head, as its headers are told): what lies behind that in its first piece, and its pages. null where those can't be read.</summary>
    public static byte[]? Bytes(KernelObject buffer, ulong from)
    {
        ulong head = buffer["head"], length = buffer["len"], behind = buffer["data_len"], data = buffer["data"] - head;
        if (from < data || length < behind || data + length - behind < from || length > 1 << 20) return null;
        var bytes = new MemoryStream();
        if (!Append(bytes, head + from, data + length - behind - from)) return null;
        var shared = new KernelObject("skb_shared_info", head + buffer["end"]);
        if (shared["frag_list"] != 0) return null;
        ulong fragments = shared["nr_frags"];
        if (fragments > MostFragments) return null;
        // skb_frag_t: the page, then length and offset, of four bytes each.
        byte[] told = shared.Read("frags", (int)fragments * 16);
        for (int at = 0; at < told.Length; at += 16)
            if (KernelPages.BytesOf(BinaryPrimitives.ReadUInt64LittleEndian(told.AsSpan(at))) is not { } page
                || !Append(bytes, page + BinaryPrimitives.ReadUInt32LittleEndian(told.AsSpan(at + 12)), BinaryPrimitives.ReadUInt32LittleEndian(told.AsSpan(at + 8)))) return null;
        return (ulong)bytes.Length == length + data - from ? bytes.ToArray() : null;
    }

    private static bool Append(MemoryStream bytes, ulong address, ulong length)
    {
        byte[] piece = new byte[length];
        if (!KernelSight.Read(address, piece)) return false;
        bytes.Write(piece);
        return true;
    }
}
