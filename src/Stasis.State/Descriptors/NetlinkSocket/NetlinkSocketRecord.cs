using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.NetlinkSocket;

/// <summary>A netlink socket (man 7 netlink) with no answer to read.</summary>
public sealed record NetlinkSocketRecord : Description
{
    /// <summary>2 datagram, 3 raw; the kernel makes no difference.</summary>
    public required int Type { get; init; }

    /// <summary>NETLINK_ROUTE 0, NETLINK_KOBJECT_UEVENT 15 and so on.</summary>
    public required int Protocol { get; init; }

    /// <summary>Its address (nl_pid), which is no process id though it often looks like one; 0 when it has none yet.</summary>
    public uint Port { get; init; }

    /// <summary>Multicast groups that it hears, counted from 1.</summary>
    public int[] Groups { get; init; } = [];

    /// <summary>Its groups were told something that its program has not read.</summary>
    public bool NewsWaiting { get; init; }

    /// <summary>A hash of what its groups tell of; empty where that can't be seen, or without groups.</summary>
    public string Sight { get; init; } = "";

    /// <summary>struct sockaddr_nl that it is connected to; empty for the kernel.</summary>
    public byte[] Peer { get; init; } = [];
    public SocketOption[] Options { get; init; } = [];
}
