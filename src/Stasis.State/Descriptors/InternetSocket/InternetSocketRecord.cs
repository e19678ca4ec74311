using System.Text.Json.Serialization;
using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>A TCP socket that listens or is not connected, or a UDP, UDP-Lite, ping or raw socket (man 7 tcp, udp, udplite, icmp, raw, ip, ipv6).</summary>
public sealed record InternetSocketRecord : Description
{
    /// <summary>AF_INET 2, AF_INET6 10.</summary>
    public required int Family { get; init; }

    /// <summary>1 stream, 2 datagram, 3 raw.</summary>
    public required int Type { get; init; }

    /// <summary>TCP 6, UDP 17, UDP-Lite 136, ICMP 1 and 58; of a raw socket any.</summary>
    public required int Protocol { get; init; }

    /// <summary>struct sockaddr_in or sockaddr_in6 that it is bound to; empty when not bound.</summary>
    public byte[] Address { get; init; } = [];

    /// <summary>The address that a socket without a connection sends to; empty when it has none.</summary>
    public byte[] Peer { get; init; } = [];
    public bool Listening { get; init; }

    /// <summary>Of a listener: how many clients may wait.</summary>
    public int Backlog { get; init; }

    /// <summary>Of a listener: who has not been accepted yet, the next one first.</summary>
    public UnacceptedClient[] Clients { get; init; } = [];

    /// <summary>Of several sockets at one address (SO_REUSEPORT): its place among them, -1 without; and the instructions (struct sock_filter) of the program that chooses among them.</summary>
    public int GroupPosition { get; init; } = -1;
    public byte[] GroupProgram { get; init; } = [];

    [JsonIgnore]
    public bool SharesAddress => Options.Any(option => option is { Level: 1 /* SOL_SOCKET */, Name: 15 /* SO_REUSEPORT */ });

    /// <summary>Stored bytes of all datagrams that wait to be read, one behind the other; null when none wait.</summary>
    public string? Content { get; init; }
    public InternetDatagram[] Datagrams { get; init; } = [];

    /// <summary>Of a raw or ping socket, in the place of datagrams: the length of each IP packet that waits.</summary>
    public int[] Packets { get; init; } = [];
    public CorkedDatagram? Corked { get; init; }

    /// <summary>The error queue (man 7 ip, IP_RECVERR), and the errno that the next call returns; 0 for none.</summary>
    public InternetError[] Errors { get; init; } = [];
    public int NextError { get; init; }
    public MulticastMembership[] Memberships { get; init; } = [];
    public SocketOption[] Options { get; init; } = [];

    public override Description? AtAddress(Func<byte[], byte[]?> move) => Address.Length > 0 && move(Address) is { } moved ? this with { Address = moved } : null;
}
