using System.Buffers.Binary;
using System.Globalization;
using Stasis.Linux;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>A multicast group that a socket is a member of, on one interface (man 7 ip, IP_ADD_MEMBERSHIP; RFC 3678).</summary>
public sealed record MulticastMembership
{
    public required string Interface { get; init; }

    /// <summary>4 or 16 bytes.</summary>
    public required byte[] Group { get; init; }

    /// <summary>True when it hears the sources alone; false when it hears all but the sources.</summary>
    public bool Include { get; init; }
    public byte[][] Sources { get; init; } = [];
}

/// <summary>
/// The kernel lists the groups of each interface, and tells of one group at a time whether a socket is a member of it
/// (MCAST_MSFILTER). So a socket's groups are found by asking it for all that the host has.
/// </summary>
internal static class Multicast
{
    private const int MCAST_JOIN_GROUP = 42, MCAST_MSFILTER = 48, MaxSources = 1024, AddressRoom = 128, HeaderSize = 144;
    public const int MaxMemberships = 4096;

    public static MulticastMembership[] Of(int socket, int family)
    {
        List<MulticastMembership> memberships = [];
        IEnumerable<(string Interface, byte[] Group)> known = Groups4();
        if (family == AF_INET6) known = known.Concat(Groups6());
        foreach ((string device, byte[] group) in known.Distinct(new SameGroup()))
            if (Ask(socket, device, group) is { } membership) memberships.Add(membership);
        return [.. memberships];
    }

    private sealed class SameGroup : IEqualityComparer<(string Interface, byte[] Group)>
    {
        public bool Equals((string Interface, byte[] Group) a, (string Interface, byte[] Group) b) => a.Interface == b.Interface && a.Group.AsSpan().SequenceEqual(b.Group);
        public int GetHashCode((string Interface, byte[] Group) group) => HashCode.Combine(group.Interface, group.Group[^1]);
    }

    // "2 eth0      :     2      V3" and below it, for each group, "    FB0000E0     1 0:00000000  0": the address as the CPU reads it.
    private static IEnumerable<(string, byte[])> Groups4()
    {
        string device = "";
        foreach (string line in Files.ReadText("/proc/self/net/igmp").Text.Split('\n').Skip(1))
        {
            string[] words = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0) continue;
            if (char.IsAsciiDigit(line[0])) device = words.Length > 1 ? words[1].TrimEnd(':') : "";
            else if (uint.TryParse(words[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out uint group)) yield return (device, BitConverter.GetBytes(group));
        }
    }

    // "1    lo              ff020000000000000000000000000001     1 0000000C 0"
    private static IEnumerable<(string, byte[])> Groups6()
    {
        foreach (string line in Files.ReadText("/proc/self/net/igmp6").Text.Split('\n'))
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is { Length: > 2 } words && words[2].Length == 32) yield return (words[1], Convert.FromHexString(words[2]));
    }

    private static int Level(byte[] group) => group.Length == 4 ? SOL_IP : SOL_IPV6;

    private static MulticastMembership? Ask(int socket, string device, byte[] group)
    {
        if (NetworkInterfaces.Index(device) is not { } index) return null;
        byte[] filter = Filter(index, group, false, []);
        Array.Resize(ref filter, HeaderSize + MaxSources * AddressRoom);
        BinaryPrimitives.WriteInt32LittleEndian(filter.AsSpan(140), MaxSources);
        if (Linux.Sockets.GetOption(socket, Level(group), MCAST_MSFILTER, filter).Failed) return null;
        int count = BinaryPrimitives.ReadInt32LittleEndian(filter.AsSpan(140));
        if (count > MaxSources) throw new KernelRefusal($"getsockopt(MCAST_MSFILTER) of {count} sources", Errno.E2BIG);
        return new MulticastMembership
        {
            Interface = device,
            Group = group,
            Include = BinaryPrimitives.ReadInt32LittleEndian(filter.AsSpan(136)) != 0,
            Sources = [.. Enumerable.Range(0, count).Select(i => filter.AsSpan(HeaderSize + i * AddressRoom + (group.Length == 4 ? 4 : 8), group.Length).ToArray())],
        };
    }

    // struct group_filter: interface, group at 8, mode at 136, number of sources, sources; each a struct sockaddr_storage.
    private static byte[] Filter(int index, byte[] group, bool include, byte[][] sources)
    {
        byte[] filter = new byte[HeaderSize + sources.Length * AddressRoom];
        BinaryPrimitives.WriteInt32LittleEndian(filter, index);
        InternetAddress.Of(group, 0).CopyTo(filter.AsSpan(8));
        BinaryPrimitives.WriteInt32LittleEndian(filter.AsSpan(136), include ? 1 : 0);
        BinaryPrimitives.WriteInt32LittleEndian(filter.AsSpan(140), sources.Length);
        for (int i = 0; i < sources.Length; i++) InternetAddress.Of(sources[i], 0).CopyTo(filter.AsSpan(HeaderSize + i * AddressRoom));
        return filter;
    }

    public static string? Damage(MulticastMembership[] memberships) =>
        memberships.Length > MaxMemberships || memberships.Any(one => one.Group.Length is not (4 or 16) || one.Sources.Length > MaxSources || one.Sources.Any(source => source.Length != one.Group.Length) || !NetworkInterfaces.IsName(one.Interface))
            ? "a multicast group has the wrong form" : null;

    public static void Join(int socket, MulticastMembership[] memberships)
    {
        foreach (MulticastMembership membership in memberships)
        {
            int index = NetworkInterfaces.Index(membership.Interface) ?? throw new KernelRefusal($"there is no network interface {membership.Interface}", Errno.ENODEV);
            byte[] filter = Filter(index, membership.Group, membership.Include, membership.Sources);
            string words = $"join of multicast group {new System.Net.IPAddress(membership.Group)} on {membership.Interface}";
            Linux.Sockets.SetOption(socket, Level(membership.Group), MCAST_JOIN_GROUP, filter.AsSpan(0, 8 + AddressRoom)).OrThrow(words);
            if (membership.Include || membership.Sources.Length > 0) Linux.Sockets.SetOption(socket, Level(membership.Group), MCAST_MSFILTER, filter).OrThrow(words);
        }
    }
}
