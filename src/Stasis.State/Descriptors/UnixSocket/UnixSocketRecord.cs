using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.UnixSocket;

public enum UnixSocketRole
{
    /// <summary>Not connected, maybe bound.</summary>
    Alone = 0,
    Listening = 1,

    /// <summary>Two sockets of the image that are each other's peer.</summary>
    Pair = 2,

    /// <summary>Connected once; the peer has been closed.</summary>
    Orphan = 3,

    /// <summary>A datagram socket that sends to a named one, which is not connected back.</summary>
    Sender = 4,

    /// <summary>A client of a listener of the image that has not been accepted.</summary>
    Waiting = 5,
}

/// <summary>A UNIX socket (man 7 unix).</summary>
public sealed record UnixSocketRecord : Description
{
    /// <summary>1 stream, 2 datagram, 5 sequenced packets.</summary>
    public required int Type { get; init; }
    public required UnixSocketRole Role { get; init; }

    /// <summary>sun_path as it was given to bind, without the zero byte behind a path: empty when unnamed, a leading zero byte when abstract.</summary>
    public byte[] Name { get; init; } = [];

    /// <summary>For a relative path: the directory from where it leads to the socket's file; else null.</summary>
    public string? Directory { get; init; }

    /// <summary>Whether the file under that name was this socket's. It is not for one that came by accept, or whose file was removed.</summary>
    public bool OwnsFile { get; init; }
    public int FilePermissions { get; init; }
    public uint FileUid { get; init; }
    public uint FileGid { get; init; }

    /// <summary>Of a listener: how many clients may wait.</summary>
    public int Backlog { get; init; }

    /// <summary>Of a listener: the descriptions of its clients that wait to be accepted, the first in line first.</summary>
    public int[] Clients { get; init; } = [];

    /// <summary>Who connected, or made the pair, or listens, as SO_PEERCRED tells it to this end; null when it tells nobody.</summary>
    public UnixCredentials? PeerCredentials { get; init; }

    /// <summary>Of a client that waits: who has it, and so will be told to the listener.</summary>
    public UnixCredentials? Connector { get; init; }

    /// <summary>Of a client that waits: stored bytes of all that it has sent, and how they divide into what it sent at once; null when it has sent nothing.</summary>
    public string? Sent { get; init; }
    public int[] SentLengths { get; init; } = [];

    /// <summary>The peer's description in the image (of a client that waits, its listener); 0 for none.</summary>
    public int Peer { get; init; }

    /// <summary>The peer's name, in the same form, where the peer is not in the image.</summary>
    public byte[] PeerName { get; init; } = [];

    /// <summary>1 no more receiving, 2 no more sending.</summary>
    public int Shutdown { get; init; }

    /// <summary>Stored bytes of all messages that wait to be read, one behind the other; null when none wait.</summary>
    public string? Content { get; init; }

    /// <summary>How the content divides into messages.</summary>
    public UnixMessage[] Messages { get; init; } = [];
    public SocketOption[] Options { get; init; } = [];
}

/// <summary>A message, or a piece of a stream that came from one sender and may have brought descriptors with its first byte.</summary>
public sealed record UnixMessage
{
    public required int Length { get; init; }

    /// <summary>Name of the sender's socket; empty when it had none.</summary>
    public byte[] Sender { get; init; } = [];

    /// <summary>The open file descriptions that come with it (SCM_RIGHTS).</summary>
    public int[] Descriptors { get; init; } = [];

    /// <summary>Who sent it (SCM_CREDENTIALS); null when the receiver is not told.</summary>
    public UnixCredentials? Credentials { get; init; }
}

/// <summary>A process by its id, and its effective user and group.</summary>
public sealed record UnixCredentials(int Pid, uint Uid, uint Gid);
