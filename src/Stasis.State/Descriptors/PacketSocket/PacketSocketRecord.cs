using System.Text.Json.Serialization;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.PacketSocket;

/// <summary>A packet socket (man 7 packet) with nothing to read, or with a ring in which packets may wait.</summary>
public sealed record PacketSocketRecord : Description
{
    /// <summary>2 without, 3 with the link-level header.</summary>
    public required int Type { get; init; }

    /// <summary>Ethernet protocol that it hears, in the byte order of the network; 0 for none.</summary>
    public int Protocol { get; init; }

    /// <summary>Name of the interface that it is bound to; empty for all.</summary>
    public string Interface { get; init; } = "";
    public PacketMember[] Memberships { get; init; } = [];
    public SocketOption[] Options { get; init; } = [];
    public PacketRing? Ring { get; init; }

    /// <summary>Those that it shares its packets with; null without.</summary>
    public PacketFanout? Fanout { get; init; }

    /// <summary>PACKET_COPY_THRESH.</summary>
    public int CopyThreshold { get; init; }
}

/// <summary>A ring of received packets (PACKET_RX_RING) in memory that the kernel and the program share.</summary>
public sealed record PacketRing
{
    public required PacketRingShape Shape { get; init; }

    /// <summary>0 TPACKET_V1, 1 V2, 2 V3.</summary>
    public required int Version { get; init; }

    /// <summary>
    /// The whole of it, by its name in the image, from where the kernel goes on: that is the beginning of the ring that the restart makes, so
    /// mappings of it are told by their places from there.
    /// </summary>
    public required string Stored { get; init; }

    /// <summary>For the capture of its mappings: the socket's, and where the content begins in the old ring.</summary>
    [JsonIgnore]
    public ulong Inode { get; init; }
    [JsonIgnore]
    public ulong From { get; init; }
    [JsonIgnore]
    public long Length => (long)Shape.BlockSize * Shape.Blocks;
}

/// <summary>What an interface is asked to hear for this socket: one address (0 multicast, 3 unicast), everything (1), all multicast (2).</summary>
public sealed record PacketMember(string Interface, int Type, byte[] Address);
