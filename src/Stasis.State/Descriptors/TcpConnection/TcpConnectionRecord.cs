using System.Text.Json.Serialization;
using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>States of RFC 9293 that a socket with a descriptor can be in once it has been connected. Ended: whatever came before, there is no connection any more.</summary>
public enum TcpPhase { SynSent, Established, FinWait1, FinWait2, CloseWait, LastAck, Closing, Ended }

/// <summary>A TCP socket that has, had or begins a connection (man 7 tcp). Numbers as the kernel counts them: a FIN takes one.</summary>
public sealed record TcpConnectionRecord : Description
{
    /// <summary>AF_INET 2, AF_INET6 10.</summary>
    public required int Family { get; init; }

    /// <summary>struct sockaddr_in or sockaddr_in6 of this side.</summary>
    public required byte[] Address { get; init; }

    /// <summary>The same of the other; empty when ended, for nobody can ask for it then.</summary>
    public byte[] Peer { get; init; } = [];
    public required TcpPhase Phase { get; init; }

    /// <summary>The program has shut down receiving, with or without the peer's FIN.</summary>
    public bool ReceivingShutDown { get; init; }

    /// <summary>The number behind all that was written, and behind all that was received in order.</summary>
    public uint WriteSequence { get; init; }
    public uint ReceiveSequence { get; init; }

    /// <summary>Stored bytes that wait to be read; null when there are none.</summary>
    public string? Received { get; init; }
    public int ReceivedLength { get; init; }

    /// <summary>Where among them the urgent byte stands, -1 without one; and whether the program has read it out of band (it is a zero then).</summary>
    public int UrgentAt { get; init; } = -1;
    public bool UrgentRead { get; init; }

    /// <summary>Stored bytes that the peer has not acknowledged, and how many of them, at the end, have never been sent.</summary>
    public string? Written { get; init; }
    public int WrittenLength { get; init; }
    public int UnsentLength { get; init; }

    /// <summary>The FIN is behind the unsent bytes and has not been sent either.</summary>
    public bool FinUnsent { get; init; }

    /// <summary>What the handshake agreed on. A scale is -1 without window scaling.</summary>
    public int MaximumSegment { get; init; }
    public int SendScale { get; init; } = -1;
    public int ReceiveScale { get; init; } = -1;
    public bool SelectiveAcknowledgement { get; init; }
    public bool Timestamps { get; init; }

    /// <summary>TCP_TIMESTAMP: the clock that this side's timestamps show.</summary>
    public uint Timestamp { get; init; }

    /// <summary>struct tcp_repair_window: snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup.</summary>
    public uint[] Window { get; init; } = [];

    /// <summary>SO_SNDBUF and SO_RCVBUF as the kernel shows them (twice what was asked for), and SO_BUF_LOCK.</summary>
    public int SendBuffer { get; init; }
    public int ReceiveBuffer { get; init; }
    public int BufferLocks { get; init; }
    public bool ReuseAddress { get; init; }

    /// <summary>The table of the packet filter that holds the connection still since the checkpoint ended the original; one of that name may not be there any more.</summary>
    public string Hold { get; init; } = "";
    public SocketOption[] Options { get; init; } = [];

    /// <summary>It is ended by the restart: what waits can be read, then comes ECONNRESET.</summary>
    [JsonIgnore]
    public bool Reset { get; init; }

    /// <summary>This side has another address than the one by which the peer knows it.</summary>
    [JsonIgnore]
    public bool Moved { get; init; }

    public override Description? AtAddress(Func<byte[], byte[]?> move) => move(Address) is { } moved ? this with { Address = moved, Moved = true } : null;

    /// <summary>`restart --tcp close`: the connection ends here, as if the peer had reset it.</summary>
    public TcpConnectionRecord Closed() => this with { Phase = TcpPhase.Ended, Reset = true, Peer = [], Written = null, WrittenLength = 0, UnsentLength = 0, FinUnsent = false, UrgentAt = -1 };

    /// <summary>How many connections are alive and have their other end outside.</summary>
    public static int Outer(IEnumerable<Description> all)
    {
        HashSet<string> ends = [.. all.OfType<TcpConnectionRecord>().Where(end => end.Peer.Length > 0).Select(end => Convert.ToHexString(end.Address) + Convert.ToHexString(end.Peer))];
        HashSet<int> listening = [.. all.OfType<InternetSocket.InternetSocketRecord>().Where(socket => socket.Listening && socket.Address.Length > 0).Select(socket => InternetSocket.InternetAddress.Port(socket.Address))];
        List<InternetSocket.UnacceptedClient> clients = [.. all.OfType<InternetSocket.InternetSocketRecord>().SelectMany(listener => listener.Clients)];
        bool ToOwnListener(TcpConnectionRecord end) => end.Phase == TcpPhase.SynSent && listening.Contains(InternetSocket.InternetAddress.Port(end.Peer));
        return all.OfType<TcpConnectionRecord>().Count(end => end.Peer.Length > 0 && !ToOwnListener(end) && !ends.Contains(Convert.ToHexString(end.Peer) + Convert.ToHexString(end.Address)) && !clients.Exists(client => client.Meets(end)))
            + clients.Count(client => !ends.Contains(Convert.ToHexString(client.Peer) + Convert.ToHexString(client.Address)));
    }

    /// <summary>Whether the two are the ends of one connection.</summary>
    public bool Meets(TcpConnectionRecord other) => Peer.Length > 0 && Peer.AsSpan().SequenceEqual(other.Address) && Address.AsSpan().SequenceEqual(other.Peer);
}
