using Stasis.Linux.Proc;
using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.PacketSocket;

/// <summary>The mappings by which a program sees a ring of packets. The kernel maps a ring only as a whole and from its beginning; a program may give back parts.</summary>
public static class PacketRingMappings
{
    private const int AF_PACKET = 17;

    public static bool Is(ProcMapping mapping) => mapping.Name.StartsWith("socket:[", StringComparison.Ordinal);

    /// <summary>Why a mapping can't be made again; null when it can.</summary>
    public static string? Problem(ProcMapping mapping, IEnumerable<Sighting> all)
    {
        if (!mapping.Shared) return "a private mapping of a socket's memory is not carried";
        Sighting? socket = all.FirstOrDefault(sighting => sighting.Link == mapping.Name);
        if (socket is null) return "memory of a socket for which the tree has no descriptor any more is not carried yet";
        return SocketSight.Of(socket).Family == AF_PACKET ? null : "memory that it shares with the kernel through a socket (AF_XDP, TCP_ZEROCOPY_RECEIVE) is not carried yet";
    }

    /// <summary>A mapping of the ring that the restart makes, whose beginning is what lay <paramref name="from"/> bytes behind that of the old one: one piece, or two around its end.</summary>
    public static IEnumerable<(ulong Start, ulong End, ulong Offset)> Turned(ulong start, ulong end, ulong offset, ulong from, ulong length)
    {
        ulong place = (offset + length - from) % length, first = Math.Min(end - start, length - place);
        yield return (start, start + first, place);
        if (start + first < end) yield return (start + first, end, 0);
    }
}
