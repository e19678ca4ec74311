using System.Text;
using Stasis.Image;
using Stasis.Linux;

namespace Stasis.State.Descriptors.NetlinkSocket;

/// <summary>What netlink's groups tell of, as a hash: taken at the checkpoint and at the restart, it tells whether a program has missed something in between.</summary>
internal static class NewsSight
{
    private const int NETLINK_ROUTE = 0, NETLINK_KOBJECT_UEVENT = 15;

    // enum rtnetlink_groups. What the others tell of (neighbours, queues, next hops ...) changes all the time or can't be listed.
    private const int RTNLGRP_LINK = 1, RTNLGRP_IPV4_IFADDR = 5, RTNLGRP_IPV4_MROUTE = 6, RTNLGRP_IPV4_ROUTE = 7, RTNLGRP_IPV4_RULE = 8, RTNLGRP_IPV6_IFADDR = 9, RTNLGRP_IPV6_MROUTE = 10, RTNLGRP_IPV6_ROUTE = 11,
        RTNLGRP_IPV6_RULE = 19, RTNLGRP_MPLS_ROUTE = 27;

    /// <summary>Empty for groups of which not all can be seen: who hears them has missed something, for all that is known.</summary>
    public static string Of(int protocol, int[] groups)
    {
        try
        {
            return protocol switch
            {
                NETLINK_ROUTE => Network(groups),
                NETLINK_KOBJECT_UEVENT => ContentHash.Of(Encoding.UTF8.GetBytes(Files.ReadText("/proc/sys/kernel/random/boot_id").Text + Files.ReadText("/sys/kernel/uevent_seqnum").Text)),
                _ => "",
            };
        }
        catch (KernelRefusal) { return ""; }
    }

    private static string Network(int[] groups)
    {
        SortedSet<int> lists = [];
        foreach (int group in groups)
        {
            int list = group switch
            {
                RTNLGRP_LINK => 0,
                RTNLGRP_IPV4_IFADDR or RTNLGRP_IPV6_IFADDR => 1,
                RTNLGRP_IPV4_ROUTE or RTNLGRP_IPV6_ROUTE or RTNLGRP_IPV4_MROUTE or RTNLGRP_IPV6_MROUTE or RTNLGRP_MPLS_ROUTE => 2,
                RTNLGRP_IPV4_RULE or RTNLGRP_IPV6_RULE => 3,
                _ => -1,
            };
            if (list < 0) return "";
            lists.Add(list);
        }
        using var seen = new MemoryStream();
        foreach (int list in lists)
            foreach (byte[] message in list switch { 0 => RouteTables.Interfaces(), 1 => RouteTables.Addresses(), 2 => RouteTables.Routes(), _ => RouteTables.Rules() }) seen.Write(message);
        return ContentHash.Of(seen.ToArray());
    }
}
