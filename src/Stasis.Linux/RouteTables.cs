using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>What the kernel lists of our network namespace (man 7 rtnetlink): the messages that its groups are told, without what changes by itself.</summary>
public static class RouteTables
{
    private const int NETLINK_ROUTE = 0, RTM_GETLINK = 18, RTM_GETADDR = 22, RTM_GETROUTE = 26, RTM_GETRULE = 34, IFLA_EXT_MASK = 29, RTEXT_FILTER_BRVLAN = 2, RTEXT_FILTER_SKIP_STATS = 8;
    private const byte AF_UNSPEC = 0, AF_BRIDGE = 7;
    private const int LinkHeader = 16, OtherHeader = 12, AddressHeader = 8, AttributeHeader = 4; // struct ifinfomsg; rtmsg and fib_rule_hdr; ifaddrmsg; rtattr
    private const int IFLA_STATS = 7, IFLA_PROTINFO = 12, IFLA_LINKINFO = 18, IFLA_STATS64 = 23, IFLA_AF_SPEC = 26, IFA_CACHEINFO = 6, RTA_CACHEINFO = 12, RTA_MFC_STATS = 17, RTA_EXPIRES = 23;

    /// <summary>Bridges tell of the VLANs of their ports in a family of their own. Errors: as socket(2) and the subsystem's (EOPNOTSUPP for what the kernel was built without).</summary>
    public static IReadOnlyList<byte[]> Interfaces() => [.. Interfaces(AF_UNSPEC, RTEXT_FILTER_SKIP_STATS), .. Interfaces(AF_BRIDGE, RTEXT_FILTER_BRVLAN | RTEXT_FILTER_SKIP_STATS)];

    private static List<byte[]> Interfaces(byte family, int filter)
    {
        byte[] request = new byte[LinkHeader + 8];
        request[0] = family;
        Attribute(request.AsSpan(LinkHeader), IFLA_EXT_MASK, filter);
        // In the family of bridges these two are what it is about.
        return List(RTM_GETLINK, request, LinkHeader, family == AF_BRIDGE ? [IFLA_STATS, IFLA_STATS64] : [IFLA_STATS, IFLA_PROTINFO, IFLA_STATS64, IFLA_AF_SPEC]);
    }

    /// <summary>Lifetimes run out by themselves; when one was set anew is kept (struct ifa_cacheinfo, its second half).</summary>
    public static IReadOnlyList<byte[]> Addresses() => List(RTM_GETADDR, new byte[AddressHeader], AddressHeader, [IFA_CACHEINFO], keptOfSkipped: 8);

    /// <summary>Of all tables and families, multicast and MPLS too.</summary>
    public static IReadOnlyList<byte[]> Routes() => List(RTM_GETROUTE, new byte[OtherHeader], OtherHeader, [RTA_CACHEINFO, RTA_MFC_STATS, RTA_EXPIRES]);

    public static IReadOnlyList<byte[]> Rules() => List(RTM_GETRULE, new byte[OtherHeader], OtherHeader, []);

    private static List<byte[]> List(int type, byte[] request, int header, int[] skipped, int keptOfSkipped = int.MaxValue)
    {
        List<byte[]> all = [];
        NetlinkDump.Run(NETLINK_ROUTE, type, request, message => all.Add(Lasting(message, header, skipped, keptOfSkipped)), all.Clear);
        all.Sort((a, b) => a.AsSpan().SequenceCompareTo(b));
        return all;
    }

    private static byte[] Lasting(byte[] message, int header, int[] skipped, int keptFrom)
    {
        var lasting = new MemoryStream();
        lasting.Write(message, 0, Math.Min(header, message.Length));
        foreach ((int type, int at, int length) in Attributes(message, header, message.Length))
        {
            if (header == LinkHeader && type == IFLA_LINKINFO) WriteInformation(lasting, message, at + AttributeHeader, at + length);
            else if (header == LinkHeader && message[0] == AF_BRIDGE && (type & NestedMask) == IFLA_PROTINFO) WriteWithout(lasting, message, at, length, s_portTimers);
            else if (!skipped.Contains(type)) lasting.Write(message, at, length);
            else if (AttributeHeader + (long)keptFrom < length) lasting.Write(message, at + AttributeHeader + keptFrom, length - AttributeHeader - keptFrom);
        }
        return lasting.ToArray();
    }

    private const int NestedMask = 0x3fff; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
    private const int IFLA_INFO_KIND = 1, IFLA_INFO_DATA = 2, IFLA_INFO_XSTATS = 3, IFLA_INFO_SLAVE_KIND = 4, IFLA_INFO_SLAVE_DATA = 5;

    // IFLA_BR_HELLO_TIMER to IFLA_BR_GC_TIMER, IFLA_BR_MCAST_QUERIER_STATE, IFLA_BR_FDB_N_LEARNED; IFLA_BRPORT_MESSAGE_AGE_TIMER to IFLA_BRPORT_HOLD_TIMER.
    private static readonly int[] s_bridgeTimers = [16, 17, 18, 19, 47, 48], s_portTimers = [21, 22, 23];

    // What kind of interface it is, and of what it is a part, with their settings: a bridge's clocks run there too.
    private static void WriteInformation(MemoryStream to, byte[] message, int from, int until)
    {
        ReadOnlySpan<byte> kind = [], slaveKind = [];
        foreach ((int type, int at, int length) in Attributes(message, from, until))
        {
            ReadOnlySpan<byte> value = message.AsSpan(at + AttributeHeader, length - AttributeHeader).TrimEnd((byte)0);
            if (type == IFLA_INFO_KIND) kind = value;
            else if (type == IFLA_INFO_SLAVE_KIND) slaveKind = value;
        }
        bool isBridge = kind.SequenceEqual("bridge"u8), isPort = slaveKind.SequenceEqual("bridge"u8);
        foreach ((int type, int at, int length) in Attributes(message, from, until))
        {
            if ((type & NestedMask) == IFLA_INFO_DATA && isBridge) WriteWithout(to, message, at, length, s_bridgeTimers);
            else if ((type & NestedMask) == IFLA_INFO_SLAVE_DATA && isPort) WriteWithout(to, message, at, length, s_portTimers);
            else if (type != IFLA_INFO_XSTATS) to.Write(message, at, length);
        }
    }

    private static void WriteWithout(MemoryStream to, byte[] message, int nest, int nestLength, int[] skipped)
    {
        foreach ((int type, int at, int length) in Attributes(message, nest + AttributeHeader, nest + nestLength))
            if (!skipped.Contains(type)) to.Write(message, at, length);
    }

    // struct rtattr: length, type, value, to a multiple of four.
    private static IEnumerable<(int Type, int At, int Length)> Attributes(byte[] message, int from, int until)
    {
        for (int at = from; at + AttributeHeader <= until;)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(message.AsSpan(at)), type = BinaryPrimitives.ReadUInt16LittleEndian(message.AsSpan(at + 2));
            if (length < AttributeHeader || at + length > until) yield break;
            yield return (type, at, length);
            at += (length + 3) & ~3;
        }
    }

    private static void Attribute(Span<byte> at, int type, int value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(at, AttributeHeader + sizeof(int));
        BinaryPrimitives.WriteUInt16LittleEndian(at[2..], (ushort)type);
        BinaryPrimitives.WriteInt32LittleEndian(at[AttributeHeader..], value);
    }
}
