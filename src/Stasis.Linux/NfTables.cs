using System.Buffers.Binary;
using System.Text;

namespace Stasis.Linux;

/// <summary>
/// A table of the packet filter that drops the segments of given TCP connections, in both directions, for as long as it is there
/// (include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h). It sits at the local input and output, where the addresses are those of
/// the sockets, whatever is translated further out.
/// </summary>
/// <remarks>
/// An owned table (NFT_TABLE_F_OWNER, Linux 5.12) goes with the netlink socket that made it: the kernel removes it when its maker
/// dies, however it dies. Segments with our mark pass.
/// </remarks>
public sealed partial class NfTables : IDisposable
{
    private const int NETLINK_NETFILTER = 12, SOCK_RAW = 3, NFNL_SUBSYS_NFTABLES = 10, NFPROTO_UNSPEC = 0, NFPROTO_INET = 1, NFPROTO_IPV4 = 2, NFPROTO_IPV6 = 10;
    private const int NFT_MSG_NEWTABLE = 0, NFT_MSG_DELTABLE = 2, NFT_MSG_NEWCHAIN = 3, NFT_MSG_NEWRULE = 6, NFT_MSG_NEWSET = 9, NFT_MSG_NEWSETELEM = 12, NFT_MSG_GETGEN = 16;
    private const int NFNL_MSG_BATCH_BEGIN = 16, NFNL_MSG_BATCH_END = 17, NLM_F_REQUEST = 1, NLM_F_ACK = 4, NLM_F_CREATE = 0x400, NLM_F_APPEND = 0x800, NLMSG_ERROR = 2;
    private const int NF_INET_LOCAL_IN = 1, NF_INET_LOCAL_OUT = 3, NF_DROP = 0, NF_ACCEPT = 1, NFT_TABLE_F_OWNER = 2, NLA_F_NESTED = 0x8000;
    private const int MessageHeader = 16, ElementsPerMessage = 400, SendRoom = 64 * 1024 * 1024;

    // Before connection tracking, which must not learn of segments that nobody got (include/uapi/linux/netfilter_ipv4.h).
    private const int Priority = -450;

    /// <summary>Segments with this mark (SO_MARK) are let through: those that a restart makes itself.</summary>
    public const int Mark = 0x57A515;

    private readonly DescriptorHandle _netlink;

    private NfTables(DescriptorHandle netlink) => _netlink = netlink;

    /// <summary>Whether the kernel has nf_tables and lets us ask it. Asks only.</summary>
    public static SysResult Available()
    {
        SysResult opened = Sockets.Create(SocketConstants.AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
        if (opened.Failed) return opened;
        using var netlink = new DescriptorHandle(opened.Descriptor);
        var message = new Writer();
        message.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NLM_F_REQUEST, NFPROTO_UNSPEC, 0);
        message.End();
        SysResult sent = Files.Write(netlink.Number, message.Bytes);
        if (sent.Failed) return sent;
        byte[] answer = new byte[4096];
        SysResult read = Files.Read(netlink.Number, answer);
        if (read.Failed) return read;
        return BinaryPrimitives.ReadUInt16LittleEndian(answer.AsSpan(4)) == NLMSG_ERROR ? new SysResult(BinaryPrimitives.ReadInt32LittleEndian(answer.AsSpan(MessageHeader))) : new SysResult(0);
    }

    /// <summary>Drops the segments of these connections until this is disposed of, or the process ends.</summary>
    /// <param name="connections">Pairs of struct sockaddr_in or sockaddr_in6, both of one family.</param>
    public static NfTables Own(string table, IEnumerable<(byte[] Address, byte[] Peer)> connections) => Own(table, Table(table, NFT_TABLE_F_OWNER, connections));

    private static NfTables Own(string table, Writer batch)
    {
        var netlink = new DescriptorHandle(Open());
        try
        {
            Send(netlink.Number, batch, $"nf_tables: new table {table}");
            return new NfTables(netlink);
        }
        catch
        {
            netlink.Dispose();
            throw;
        }
    }

    /// <summary>
    /// The same, until it is removed by <see cref="Remove"/>, and for no longer than a day (see NfTables.Left.cs). It is made by whoever
    /// writes the batch to the socket.
    /// </summary>
    public static PreparedTable Prepare(string table, IEnumerable<(byte[] Address, byte[] Peer)> connections)
    {
        Writer batch = Table(table, 0, connections);
        return new PreparedTable(new DescriptorHandle(Open()), batch.Bytes.ToArray(), netlink => Answer(netlink, batch.Acknowledged).OrThrow($"nf_tables: new table {table}"));
    }

    /// <summary>Removes a table of <see cref="Make"/>; ENOENT when there is none.</summary>
    public static SysResult Remove(string table)
    {
        using var netlink = new DescriptorHandle(Open());
        var batch = new Writer();
        Begin(batch);
        batch.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_REQUEST | NLM_F_ACK, NFPROTO_INET, 0);
        batch.Text(1 /* NFTA_TABLE_NAME */, table);
        batch.End();
        Finish(batch);
        return Exchange(netlink.Number, batch);
    }

    /// <summary>The table is there for as long as anybody has this open.</summary>
    public int Netlink => _netlink.Number;

    public void Dispose() => _netlink.Dispose();

    private static int Open()
    {
        int netlink = Sockets.Create(SocketConstants.AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER).OrThrowDescriptor("socket(AF_NETLINK, NETLINK_NETFILTER)");
        // One batch is one message of the socket.
        Sockets.SetOption(netlink, SocketConstants.SOL_SOCKET, SocketConstants.SO_SNDBUFFORCE, SendRoom);
        Sockets.SetOption(netlink, SocketConstants.SOL_SOCKET, SocketConstants.SO_RCVBUFFORCE, SendRoom);
        return netlink;
    }

    private static Writer Table(string table, int flags, IEnumerable<(byte[] Address, byte[] Peer)> connections)
    {
        List<byte[]> keys = [.. Keys(connections)], four = keys.FindAll(key => key.Length == s_sets[0].KeyLength), six = keys.FindAll(key => key.Length == s_sets[1].KeyLength);
        Writer batch = NewTable(table, flags);
        AddSet(batch, table, "connections4", 1, 16, KeyType(ipv4_addr, inet_service, ipv4_addr, inet_service), four, ends: flags == 0);
        AddSet(batch, table, "connections6", 2, 40, KeyType(ipv6_addr, inet_service, ipv6_addr, inet_service), six, ends: flags == 0);
        foreach ((string chain, int hook) in ((string, int)[])[("in", NF_INET_LOCAL_IN), ("out", NF_INET_LOCAL_OUT)])
        {
            AddChain(batch, table, chain, hook);
            AddMarkRule(batch, table, chain);
            AddDropRule(batch, table, chain, NFPROTO_IPV4, "connections4", 12, 4);
            AddDropRule(batch, table, chain, NFPROTO_IPV6, "connections6", 8, 16);
        }
        Finish(batch);
        return batch;
    }

    private static Writer NewTable(string table, int flags)
    {
        var batch = new Writer();
        Begin(batch);
        batch.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
        batch.Text(1, table);
        batch.Number(2, flags);
        batch.End();
        return batch;
    }

    /// <summary>Each connection in its two directions, as the sets hold them.</summary>
    private static IEnumerable<byte[]> Keys(IEnumerable<(byte[] Address, byte[] Peer)> connections)
    {
        foreach ((byte[] address, byte[] peer) in connections)
            foreach ((byte[] from, byte[] to) in ((byte[], byte[])[])[(address, peer), (peer, address)])
                yield return [.. Host(from), from[2], from[3], 0, 0, .. Host(to), to[2], to[3], 0, 0];
    }

    /// <summary>The bytes of an address as they stand in a packet: an IPv4 address inside of IPv6 travels as IPv4.</summary>
    internal static byte[] Host(byte[] address)
    {
        if (address.Length < 28) return address[4..8];
        byte[] host = address[8..24];
        return host.AsSpan(0, 12).SequenceEqual<byte>([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) ? host[12..] : host;
    }

    private const int ipv4_addr = 7, ipv6_addr = 8, inet_service = 13;

    // How nft(8) names a concatenation of types, for people who list the table.
    private static int KeyType(params ReadOnlySpan<int> types)
    {
        const int TypeBits = 6;
        int type = 0;
        foreach (int one in types) type = type << TypeBits | one;
        return type;
    }

    private static void AddSet(Writer batch, string table, string name, int id, int keyLength, int keyType, List<byte[]> keys, bool ends = false)
    {
        batch.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
        batch.Text(1, table);
        batch.Text(2, name);
        batch.Number(3, ends ? NFT_SET_TIMEOUT : 0);
        batch.Number(4, keyType);
        batch.Number(5, keyLength);
        if (ends) batch.Long(11 /* NFTA_SET_TIMEOUT */, (long)s_longest.TotalMilliseconds);
        batch.Number(10, id);
        batch.End();
        foreach (byte[][] chunk in keys.Distinct(BytesComparer.Instance).Chunk(ElementsPerMessage))
        {
            batch.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
            batch.Text(1, table);
            batch.Text(2, name);
            batch.Number(4, id);
            batch.Nest(3, () =>
            {
                foreach (byte[] key in chunk) batch.Nest(1 /* NFTA_LIST_ELEM */, () => batch.Nest(1 /* NFTA_SET_ELEM_KEY */, () => batch.Data(1, key)));
            });
            batch.End();
        }
    }

    private static void AddChain(Writer batch, string table, string name, int hook)
    {
        batch.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
        batch.Text(1, table);
        batch.Text(3, name);
        batch.Nest(4, () =>
        {
            batch.Number(1, hook);
            batch.Number(2, Priority);
        });
        batch.Text(7, "filter");
        batch.End();
    }

    private static void AddRule(Writer batch, string table, string chain, Action expressions)
    {
        batch.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, NFPROTO_INET, 0);
        batch.Text(1, table);
        batch.Text(2, chain);
        batch.Nest(4, expressions);
        batch.End();
    }

    private const int NFT_META_MARK = 3, NFT_META_NFPROTO = 15, NFT_META_L4PROTO = 16, NetworkHeader = 1, TransportHeader = 2, FirstRegister = 8 /* NFT_REG32_00 */;

    private static void AddMarkRule(Writer batch, string table, string chain) => AddRule(batch, table, chain, () =>
    {
        Meta(batch, NFT_META_MARK);
        Equal(batch, BitConverter.GetBytes(Mark));
        Verdict(batch, NF_ACCEPT);
    });

    private static void AddDropRule(Writer batch, string table, string chain, int protocol, string set, int sourceOffset, int hostLength) => AddRule(batch, table, chain, () =>
    {
        Meta(batch, NFT_META_NFPROTO);
        Equal(batch, [(byte)protocol]);
        Meta(batch, NFT_META_L4PROTO);
        Equal(batch, [SocketConstants.IPPROTO_TCP]);
        int register = FirstRegister;
        Payload(batch, register, NetworkHeader, sourceOffset, hostLength);
        Payload(batch, register += hostLength / 4, TransportHeader, 0, 2);
        Payload(batch, register += 1, NetworkHeader, sourceOffset + hostLength, hostLength);
        Payload(batch, register + hostLength / 4, TransportHeader, 2, 2);
        Lookup(batch, set);
        Verdict(batch, NF_DROP);
    });

    private static void Lookup(Writer batch, string set) => Expression(batch, "lookup", () =>
    {
        batch.Text(1, set);
        batch.Number(2, FirstRegister);
    });

    private static void Expression(Writer batch, string name, Action data) => batch.Nest(1, () =>
    {
        batch.Text(1, name);
        batch.Nest(2, data);
    });

    private static void Meta(Writer batch, int key) => Expression(batch, "meta", () =>
    {
        batch.Number(2, key);
        batch.Number(1, FirstRegister);
    });

    private static void Equal(Writer batch, byte[] value) => Expression(batch, "cmp", () =>
    {
        batch.Number(1, FirstRegister);
        batch.Number(2, 0);
        batch.Nest(3, () => batch.Data(1, value));
    });

    private static void Payload(Writer batch, int register, int header, int offset, int length) => Expression(batch, "payload", () =>
    {
        batch.Number(1, register);
        batch.Number(2, header);
        batch.Number(3, offset);
        batch.Number(4, length);
    });

    private static void Verdict(Writer batch, int code) => Expression(batch, "immediate", () =>
    {
        batch.Number(1, 0);
        batch.Nest(2, () => batch.Nest(2, () => batch.Number(1, code)));
    });

    private static void Begin(Writer batch)
    {
        batch.Begin(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES);
        batch.End();
    }

    private static void Finish(Writer batch)
    {
        batch.Begin(NFNL_MSG_BATCH_END, NLM_F_REQUEST, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES);
        batch.End();
    }

    private static void Send(int netlink, Writer batch, string words) => Exchange(netlink, batch).OrThrow(words);

    /// <summary>Sends a batch, which is taken whole or not at all; the first error of its messages.</summary>
    private static SysResult Exchange(int netlink, Writer batch)
    {
        SysResult sent = Files.Write(netlink, batch.Bytes);
        return sent.Failed ? sent : Answer(netlink, batch.Acknowledged);
    }

    private static SysResult Answer(int netlink, int acknowledged)
    {
        byte[] buffer = new byte[256 * 1024];
        for (int waiting = acknowledged; waiting > 0;)
        {
            SysResult read = Files.Read(netlink, buffer);
            if (read.Failed) return read;
            for (int at = 0; at + MessageHeader + 4 <= (int)read.Value;)
            {
                int size = BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(at));
                if (size < MessageHeader) break;
                if (BinaryPrimitives.ReadUInt16LittleEndian(buffer.AsSpan(at + 4)) == NLMSG_ERROR)
                {
                    waiting--;
                    int error = BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(at + MessageHeader));
                    if (error != 0) return new SysResult(error);
                }
                at += (size + 3) & ~3;
            }
        }
        return new SysResult(0);
    }

    private sealed class BytesComparer : IEqualityComparer<byte[]>
    {
        public static readonly BytesComparer Instance = new();
        public bool Equals(byte[]? a, byte[]? b) => a.AsSpan().SequenceEqual(b);
        public int GetHashCode(byte[] bytes)
        {
            var hash = new HashCode();
            hash.AddBytes(bytes);
            return hash.ToHashCode();
        }
    }

    /// <summary>Messages of netlink one behind the other (man 7 netlink), with attributes; numbers are big-endian as nf_tables wants them.</summary>
    private sealed class Writer
    {
        private readonly MemoryStream _bytes = new();
        private int _message;

        public ReadOnlySpan<byte> Bytes => _bytes.GetBuffer().AsSpan(0, (int)_bytes.Length);
        public int Acknowledged { get; private set; }

        public void Begin(int type, int flags, int family, int resource)
        {
            _message = (int)_bytes.Length;
            Span<byte> header = stackalloc byte[MessageHeader + 4];
            header.Clear();
            BinaryPrimitives.WriteUInt16LittleEndian(header[4..], (ushort)type);
            BinaryPrimitives.WriteUInt16LittleEndian(header[6..], (ushort)flags);
            header[MessageHeader] = (byte)family;
            BinaryPrimitives.WriteUInt16BigEndian(header[(MessageHeader + 2)..], (ushort)resource);
            _bytes.Write(header);
            if ((flags & NLM_F_ACK) != 0) Acknowledged++;
        }

        public void End() => BinaryPrimitives.WriteInt32LittleEndian(_bytes.GetBuffer().AsSpan(_message), (int)_bytes.Length - _message);

        public void Number(int type, int value)
        {
            Span<byte> bytes = stackalloc byte[4];
            BinaryPrimitives.WriteInt32BigEndian(bytes, value);
            Data(type, bytes);
        }

        public void Long(int type, long value)
        {
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteInt64BigEndian(bytes, value);
            Data(type, bytes);
        }

        public void Text(int type, string text) => Data(type, Encoding.ASCII.GetBytes(text + "\0"));

        public void Data(int type, ReadOnlySpan<byte> value)
        {
            Span<byte> header = stackalloc byte[4];
            BinaryPrimitives.WriteUInt16LittleEndian(header, (ushort)(4 + value.Length));
            BinaryPrimitives.WriteUInt16LittleEndian(header[2..], (ushort)type);
            _bytes.Write(header);
            _bytes.Write(value);
            while (_bytes.Length % 4 != 0) _bytes.WriteByte(0);
        }

        public void Nest(int type, Action content)
        {
            int at = (int)_bytes.Length;
            Data(type | NLA_F_NESTED, []);
            content();
            BinaryPrimitives.WriteUInt16LittleEndian(_bytes.GetBuffer().AsSpan(at), (ushort)((int)_bytes.Length - at));
        }
    }
}
