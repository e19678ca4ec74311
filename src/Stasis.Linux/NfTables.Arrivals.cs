namespace Stasis.Linux;

/// <summary>A table that keeps new clients from listeners: their first segment is dropped at the local input, and they send it again a second later.</summary>
public sealed partial class NfTables
{
    private const int TcpFlags = 13, FIN = 1, SYN = 2, RST = 4, ACK = 0x10;

    /// <summary>Drops the first segments of new connections to these addresses until this is disposed of, or the process ends.</summary>
    /// <param name="listeners">struct sockaddr_in or sockaddr_in6 each. One without a host takes clients at every address of this host.</param>
    public static NfTables OwnArrivals(string table, IEnumerable<byte[]> listeners)
    {
        List<byte[]> four = [], six = [], ports = [];
        foreach (byte[] listener in listeners)
        {
            byte[] host = Host(listener);
            if (host.AsSpan().TrimStart((byte)0).IsEmpty) ports.Add(listener[2..4]);
            else (host.Length == 4 ? four : six).Add([.. host, listener[2], listener[3], 0, 0]);
        }
        Writer batch = NewTable(table, NFT_TABLE_F_OWNER);
        AddSet(batch, table, "listeners4", 1, 8, KeyType(ipv4_addr, inet_service), four);
        AddSet(batch, table, "listeners6", 2, 20, KeyType(ipv6_addr, inet_service), six);
        AddSet(batch, table, "ports", 3, 2, KeyType(inet_service), ports);
        AddChain(batch, table, "in", NF_INET_LOCAL_IN);
        AddMarkRule(batch, table, "in");
        AddArrivalRule(batch, table, NFPROTO_IPV4, "listeners4", 16, 4);
        AddArrivalRule(batch, table, NFPROTO_IPV6, "listeners6", 24, 16);
        AddArrivalRule(batch, table, NFPROTO_UNSPEC, "ports", 0, 0);
        Finish(batch);
        return Own(table, batch);
    }

    private static void AddArrivalRule(Writer batch, string table, int protocol, string set, int hostOffset, int hostLength) => AddRule(batch, table, "in", () =>
    {
        if (protocol != NFPROTO_UNSPEC)
        {
            Meta(batch, NFT_META_NFPROTO);
            Equal(batch, [(byte)protocol]);
        }
        Meta(batch, NFT_META_L4PROTO);
        Equal(batch, [SocketConstants.IPPROTO_TCP]);
        Payload(batch, FirstRegister, TransportHeader, TcpFlags, 1);
        Mask(batch, FIN | SYN | RST | ACK);
        Equal(batch, [SYN]);
        if (hostLength > 0) Payload(batch, FirstRegister, NetworkHeader, hostOffset, hostLength);
        Payload(batch, FirstRegister + hostLength / 4, TransportHeader, 2, 2);
        Lookup(batch, set);
        Verdict(batch, NF_DROP);
    });

    // NFTA_BITWISE_SREG, _DREG, _LEN, _MASK, _XOR: one byte of the register, and nothing turned around.
    private static void Mask(Writer batch, byte mask) => Expression(batch, "bitwise", () =>
    {
        batch.Number(1, FirstRegister);
        batch.Number(2, FirstRegister);
        batch.Number(3, 1);
        batch.Nest(4, () => batch.Data(1, [mask]));
        batch.Nest(5, () => batch.Data(1, [0]));
    });
}
