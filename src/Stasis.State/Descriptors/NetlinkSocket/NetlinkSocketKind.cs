using System.Buffers.Binary;
using System.Globalization;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.NetlinkSocket;

/// <summary>
/// Netlink sockets of those subsystems that keep nothing about a socket but its groups. Answers that wait are refused: only the kernel could
/// send them again. Who has missed something of what its groups are told is told so.
/// </summary>
public sealed class NetlinkSocketKind : DescriptorKind
{
    private const int SOL_NETLINK = 270, NETLINK_ADD_MEMBERSHIP = 1, NETLINK_NO_ENOBUFS = 5, NETLINK_LIST_MEMBERSHIPS = 9, AddressLength = 12, MaxGroup = 1 << 16;

    // include/uapi/linux/netlink.h. Not here: netfilter, connector, iSCSI, RDMA (they note which socket asked for what), user sockets.
    private static readonly (int Protocol, string Name)[] s_carried =
        [(0, "route"), (4, "socket diagnosis"), (6, "IPsec"), (7, "SELinux"), (9, "audit"), (10, "route lookup"), (15, "device events"), (16, "generic"), (21, "cryptography")];

    public override string Name => "netlink socket";
    public override Type RecordType => typeof(NetlinkSocketRecord);
    public override bool Recognizes(Sighting sighting) => SocketSight.Of(sighting) is { Family: AF_NETLINK } sight && s_carried.Any(known => known.Protocol == sight.Protocol);

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return;
        using var own = new DescriptorHandle(taken.Descriptor);
        string name = Words(SocketSight.Of(sighting).Protocol);
        if (HasNews(own.Number) && Obstacle(own.Number, SocketSight.Of(sighting).Protocol, context) is { } obstacle)
            context.RefuseForNow(sighting, $"messages of the kernel wait to be read at this netlink socket ({name}): {obstacle}", "try again in a moment, when the program has read them");
        else if (IsDumping(sighting))
            context.RefuseForNow(sighting, $"the kernel is in the middle of an answer to this netlink socket ({name})", "try again in a moment");
        SocketOptions.Examine(own.Number, sighting, context);
    }

    private static bool HasNews(int own) => (Poll.Events(own) & (Poll.POLLIN | Poll.POLLERR)) != 0;

    private static string? Obstacle(int own, int protocol, ExamineContext context)
    {
        if (!NetlinkNews.CanBeTold(protocol)) return "only the kernel can send them again";
        if (Linux.Sockets.GetOption(own, SOL_NETLINK, NETLINK_NO_ENOBUFS).Raw > 0) return "the program does not want to be told what it has missed (NETLINK_NO_ENOBUFS)";
        if (BinaryPrimitives.ReadUInt32LittleEndian(Linux.Sockets.Name(own).Address.AsSpan(4)) == 0) return "it has no address yet";
        try { return NetlinkNews.Obstacle(own); }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EOPNOTSUPP) { return $"they can't be looked at: {refusal.Message}"; }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EFAULT) { return context.Frozen ? "more come just now" : null; }
    }

    // /proc/net/netlink: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (net/netlink/af_netlink.c, netlink_native_seq_show).
    private static bool IsDumping(Sighting sighting)
    {
        string inode = SocketSight.Inode(sighting).ToString(CultureInfo.InvariantCulture);
        foreach (string line in Files.ReadText("/proc/self/net/netlink").Text.Split('\n'))
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is { Length: 10 } fields && fields[9] == inode) return fields[6] != "0";
        return false;
    }

    private static string Words(int protocol) => s_carried.FirstOrDefault(known => known.Protocol == protocol).Name ?? $"protocol {protocol}";

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        SocketSight sight = SocketSight.Of(sighting);
        using DescriptorHandle own = sighting.Take();
        (SysResult named, byte[] address) = Linux.Sockets.Name(own.Number);
        named.OrThrow("getsockname", $"process {sighting.Bearer.Pid}");
        (SysResult peered, byte[] peer) = Linux.Sockets.PeerName(own.Number);
        int[] groups = GroupsOf(own.Number);
        // First the sight, then the queue: what happens after the one shows at the restart, what happened before the other waits in it.
        string seen = groups.Length > 0 ? NewsSight.Of(sight.Protocol, groups) : "";
        return new NetlinkSocketRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Type = sight.Type,
            Protocol = sight.Protocol,
            Port = BinaryPrimitives.ReadUInt32LittleEndian(address.AsSpan(4)),
            Groups = groups,
            NewsWaiting = HasNews(own.Number),
            Sight = seen,
            Peer = peered.Failed || peer.AsSpan(4).TrimStart((byte)0).IsEmpty ? [] : peer,
            Options = SocketOptions.Capture(own.Number, sight.Family, sight.Type, sight.Protocol),
        };
    }

    // A bit for each group; the kernel says how many bytes there are.
    private static int[] GroupsOf(int socket)
    {
        byte[] bits = new byte[MaxGroup / 8];
        long length = Math.Min(Linux.Sockets.GetOption(socket, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, bits).OrThrow("getsockopt(NETLINK_LIST_MEMBERSHIPS)"), bits.Length);
        return [.. Enumerable.Range(0, (int)length * 8).Where(bit => (bits[bit / 8] >> (bit % 8) & 1) != 0).Select(bit => bit + 1)];
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (NetlinkSocketRecord)description;
        if (Damage(record) is { } damage)
        {
            context.Refuse(record, "netlink socket", damage, "the image is damaged; take another checkpoint");
            return;
        }
        SysResult made = Linux.Sockets.Create(AF_NETLINK, record.Type, record.Protocol);
        if (made.Failed)
        {
            context.Refuse(record, "netlink socket", $"this kernel has no netlink for {Words(record.Protocol)} ({made.Errno})", "restart on a kernel that has");
            return;
        }
        using var probe = new DescriptorHandle(made.Descriptor);
        if (record.Port != 0 && Linux.Sockets.Bind(probe.Number, Address(record.Port)).Errno == Errno.EADDRINUSE)
            context.Refuse(record, "netlink socket", $"another program has its netlink address {record.Port} ({Words(record.Protocol)})", "end that program first (the original may still run)");
        else if (HasMissed(record) && HeldPage.Unavailable() is { } unavailable)
            context.Refuse(record, "netlink socket", $"it has missed messages of the kernel and can't be told so ({unavailable})", "run stasis as root, on a kernel with userfaultfd(2)");
    }

    private static string? Damage(NetlinkSocketRecord record)
    {
        if (record.Type is not (2 or 3) || !s_carried.Any(known => known.Protocol == record.Protocol)) return "it is no netlink socket that can be made";
        if (record.Groups.Any(group => group is < 1 or > MaxGroup) || record.Peer.Length is not (0 or AddressLength)) return "a value is out of range";
        return SocketOptions.Damage(record.Options);
    }

    // struct sockaddr_nl: family, padding, port, the first 32 groups.
    private static byte[] Address(uint port)
    {
        byte[] address = new byte[AddressLength];
        address[0] = AF_NETLINK;
        BinaryPrimitives.WriteUInt32LittleEndian(address.AsSpan(4), port);
        return address;
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (NetlinkSocketRecord)description;
        bool told = HasMissed(record);
        int socket = Make(record, told);
        // Between the look and the groups there was a moment.
        if (told || !HasMissed(record)) return socket;
        Files.Close(socket);
        return Make(record, true);
    }

    private static int Make(NetlinkSocketRecord record, bool told)
    {
        int socket = Linux.Sockets.Create(AF_NETLINK, record.Type, record.Protocol).OrThrowDescriptor("socket(AF_NETLINK)");
        if (record.Port != 0) Linux.Sockets.Bind(socket, Address(record.Port)).OrThrow($"bind of a netlink socket to {record.Port}");
        if (told) NetlinkNews.TellOfOverflow(socket);
        SocketOptions.Set(socket, record.Options);
        foreach (int group in record.Groups) Linux.Sockets.SetOption(socket, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group).OrThrow($"setsockopt(NETLINK_ADD_MEMBERSHIP, {group})");
        if (record.Peer.Length > 0) Linux.Sockets.Connect(socket, record.Peer).OrThrow("connect of a netlink socket");
        return socket;
    }

    private static bool HasMissed(NetlinkSocketRecord record)
    {
        if (record.Port == 0 || !NetlinkNews.CanBeTold(record.Protocol) || record.Options.Any(option => option is { Level: SOL_NETLINK, Name: NETLINK_NO_ENOBUFS })) return false;
        return record.NewsWaiting || record.Groups.Length > 0 && (record.Sight.Length == 0 || record.Sight != NewsSight.Of(record.Protocol, record.Groups));
    }
}
