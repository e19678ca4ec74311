using System.Buffers.Binary;
using System.Text;

namespace Stasis.Linux;

/// <summary>
/// Tables that a checkpoint has left and that no restart here has removed: the tree was restarted on another host, or never.
/// </summary>
/// <remarks>
/// What they hold ends by itself after a day. That is no loss: of the peers that send anything, those with data under way have given up after a
/// quarter of an hour (tcp_retries2) and those with keepalive after two hours (man 7 tcp), and one that is silent needs no filter. The empty table
/// is removed by the next checkpoint or restart.
/// </remarks>
public sealed partial class NfTables
{
    private const int NFT_SET_TIMEOUT = 0x10, NFT_MSG_GETTABLE = 1, NFT_MSG_GETSETELEM = 13, NFT_MSG_DELSETELEM = 14, NLMSG_DONE = 3, NLM_F_DUMP = 0x300, NLM_F_DUMP_INTR = 0x10, NLA_TYPE_MASK = 0x3fff;
    private const int MostMessages = 1_000_000;
    private const string Prefix = "stasis-";
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(1);
    private static readonly (string Set, int KeyLength)[] s_sets = [("connections4", 16), ("connections6", 40)];

    /// <summary>
    /// Takes these connections out of all tables that checkpoints have left: whoever makes them go on here knows that nobody waits any more.
    /// Tables that hold nothing any more are removed.
    /// </summary>
    public static void Forget(IReadOnlyList<(byte[] Address, byte[] Peer)> connections)
    {
        HashSet<byte[]> ours = new([.. Keys(connections)], BytesComparer.Instance);
        foreach (string table in Left())
        {
            bool empty = true;
            foreach ((string set, int keyLength) in s_sets)
            {
                List<byte[]>? held = Elements(table, set, keyLength);
                List<byte[]> over = held is null ? [] : held.FindAll(ours.Contains);
                if (over.Count != held?.Count) empty = false;
                if (over.Count > 0) Drop(table, set, over);
            }
            if (empty) Remove(table);
        }
    }

    /// <summary>The names of tables of <see cref="Prepare"/>: "stasis-" and 16 hexadecimal digits.</summary>
    private static List<string> Left()
    {
        List<string> names = [];
        Dump(NFT_MSG_GETTABLE, _ => { }, attributes =>
        {
            string name = Attribute(attributes, 1 /* NFTA_TABLE_NAME */) is { Length: > 0 } text ? Encoding.ASCII.GetString(text.AsSpan(0, text.Length - 1)) : "";
            if (name.Length == Prefix.Length + 16 && name.StartsWith(Prefix, StringComparison.Ordinal) && name.AsSpan(Prefix.Length).IndexOfAnyExcept("0123456789abcdef") < 0) names.Add(name);
        });
        return names;
    }

    /// <summary>The keys of a set, none without that set; null when they can't be told just now.</summary>
    private static List<byte[]>? Elements(string table, string set, int keyLength)
    {
        List<byte[]> keys = [];
        SysResult told = Dump(NFT_MSG_GETSETELEM, batch => { batch.Text(1, table); batch.Text(2, set); }, attributes =>
        {
            // NFTA_SET_ELEM_LIST_ELEMENTS: NFTA_LIST_ELEM: NFTA_SET_ELEM_KEY: NFTA_DATA_VALUE.
            foreach ((int type, byte[] element) in Attributes(Attribute(attributes, 3)))
                if (type == 1 && Attribute(Attribute(element, 1), 1) is { } key && key.Length == keyLength) keys.Add(key);
        });
        return told.Failed && told.Errno != Errno.ENOENT ? null : keys;
    }

    private static void Drop(string table, string set, List<byte[]> keys)
    {
        foreach (byte[][] chunk in keys.Chunk(ElementsPerMessage))
        {
            using var netlink = new DescriptorHandle(Open());
            var batch = new Writer();
            Begin(batch);
            batch.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM, NLM_F_REQUEST | NLM_F_ACK, NFPROTO_INET, 0);
            batch.Text(1, table);
            batch.Text(2, set);
            batch.Nest(3, () =>
            {
                foreach (byte[] key in chunk) batch.Nest(1, () => batch.Nest(1, () => batch.Data(1, key)));
            });
            batch.End();
            Finish(batch);
            SysResult dropped = Exchange(netlink.Number, batch);
            // Its time was over, or somebody else has removed it.
            if (dropped.Failed && dropped.Errno != Errno.ENOENT) dropped.OrThrow($"nf_tables: removal of connections from table {table}");
        }
    }

    /// <summary>Hands over the attributes of each answer. EINTR: what is told changed meanwhile, and something may be missing.</summary>
    private static SysResult Dump(int message, Action<Writer> request, Action<byte[]> each)
    {
        using var netlink = new DescriptorHandle(Open());
        var writer = new Writer();
        writer.Begin(NFNL_SUBSYS_NFTABLES << 8 | message, NLM_F_REQUEST | NLM_F_DUMP, NFPROTO_INET, 0);
        request(writer);
        writer.End();
        SysResult sent = Files.Write(netlink.Number, writer.Bytes);
        if (sent.Failed) return sent;
        byte[] buffer = new byte[256 * 1024];
        for (int messages = 0; messages < MostMessages;)
        {
            SysResult read = Files.Read(netlink.Number, buffer);
            if (read.Failed) return read;
            for (int at = 0; at + MessageHeader + 4 <= (int)read.Value; messages++)
            {
                int size = BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(at)), type = BinaryPrimitives.ReadUInt16LittleEndian(buffer.AsSpan(at + 4));
                if (size < MessageHeader + 4 || at + size > (int)read.Value) return SysResult.Error(Errno.EINVAL);
                if ((BinaryPrimitives.ReadUInt16LittleEndian(buffer.AsSpan(at + 6)) & NLM_F_DUMP_INTR) != 0) return SysResult.Error(Errno.EINTR);
                // Both carry an errno, zero when all went well.
                if (type is NLMSG_DONE or NLMSG_ERROR) return new SysResult(BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(at + MessageHeader)));
                each(buffer[(at + MessageHeader + 4)..(at + size)]);
                at += (size + 3) & ~3;
            }
        }
        return SysResult.Error(Errno.EINVAL);
    }

    private static byte[]? Attribute(byte[]? attributes, int wanted)
    {
        foreach ((int type, byte[] value) in Attributes(attributes)) if (type == wanted) return value;
        return null;
    }

    // struct nlattr: nla_len with itself, nla_type.
    private static IEnumerable<(int Type, byte[] Value)> Attributes(byte[]? bytes)
    {
        for (int at = 0; bytes is not null && at + 4 <= bytes.Length;)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));
            if (length < 4 || at + length > bytes.Length) yield break;
            yield return (BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at + 2)) & NLA_TYPE_MASK, bytes[(at + 4)..(at + length)]);
            at += (length + 3) & ~3;
        }
    }
}
