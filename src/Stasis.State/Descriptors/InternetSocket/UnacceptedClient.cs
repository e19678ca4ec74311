using System.Text.Json.Serialization;
using Stasis.Linux;
using Stasis.State.Descriptors.TcpConnection;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>A client of a TCP listener that no program has accepted: connected, and what it has sent waits. Numbers as the kernel counts them.</summary>
public sealed record UnacceptedClient
{
    /// <summary>struct sockaddr_in or sockaddr_in6 of our side, and of the client's.</summary>
    public required byte[] Address { get; init; }
    public required byte[] Peer { get; init; }

    /// <summary>The first number of the client's data, and of ours, of which there are none yet.</summary>
    public required uint ReceiveSequence { get; init; }
    public required uint SendSequence { get; init; }

    /// <summary>Stored bytes that it has sent; null when there are none.</summary>
    public string? Content { get; init; }
    public int Length { get; init; }

    /// <summary>It has sent all that it will (FIN), or is gone (RST).</summary>
    public bool Finished { get; init; }
    public bool Reset { get; init; }

    /// <summary>Its window, as its last segment told it.</summary>
    public required int Window { get; init; }
    public required TcpAgreement Agreement { get; init; }

    /// <summary>The table of the packet filter that holds the connection still since the checkpoint ended the original.</summary>
    public string Hold { get; init; } = "";

    /// <summary>Our side has another address than the one by which the client, who is outside, knows it.</summary>
    [JsonIgnore]
    public bool Moved { get; init; }

    /// <summary>It is not put back (`restart --tcp close`).</summary>
    [JsonIgnore]
    public bool Closed { get; init; }

    /// <summary>Whether a connection is this one, seen from the client's side.</summary>
    public bool Meets(TcpConnectionRecord end) => end.Peer.AsSpan().SequenceEqual(Address) && end.Address.AsSpan().SequenceEqual(Peer);
}
