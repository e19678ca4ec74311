using System.Buffers.Binary;
using Stasis.Linux;
using Stasis.State.Descriptors.InternetSocket;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.PacketSocket;

/// <summary>Packet sockets, read by calls or through a ring of packets in shared memory. Rings to send from are refused.</summary>
public sealed class PacketSocketKind : DescriptorKind
{
    private const int AF_PACKET = 17, SOL_PACKET = 263, PACKET_ADD_MEMBERSHIP = 1, PACKET_COPY_THRESH = 7, PACKET_VERSION = 10, AddressLength = 20, MaxMemberships = 4096;

    public override string Name => "packet socket";
    public override Type RecordType => typeof(PacketSocketRecord);
    public override bool Recognizes(Sighting sighting) => SocketSight.Of(sighting) is { Family: AF_PACKET, Type: SOCK_DGRAM or SOCK_RAW };

    private const string Known = "packet sockets";

    private static PacketSocketState? StateOf(Sighting sighting, ExamineContext context)
    {
        if (!context.Cache.TryGetValue(Known, out object? known)) context.Cache[Known] = known = SockDiagPacket.All();
        return ((Dictionary<uint, PacketSocketState>)known).GetValueOrDefault(SocketSight.Inode(sighting));
    }

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return;
        using var own = new DescriptorHandle(taken.Descriptor);
        PacketSocketState? state = StateOf(sighting, context);
        if (state is null)
        {
            if (SocketSight.IsStillThere(sighting)) context.Refuse(sighting, "the kernel does not list this packet socket", "use a kernel with CONFIG_PACKET_DIAG, and load the module af_packet_diag");
        }
        else if (state.Sends) context.Refuse(sighting, "a packet socket with a ring of packets to send is not carried yet", "end the packet generator first");
        else if (state.Fanout >= 0 && ShareProblem(sighting, own.Number, state.Fanout, context) is { } shared) context.Refuse(sighting, $"it shares its packets with others (PACKET_FANOUT), and {shared}", "end the packet capture first");
        else if (state.Ring is { } shape) ExamineRing(sighting, own.Number, shape, context);
        else if ((Poll.Events(own.Number) & Poll.POLLIN) != 0) context.RefuseForNow(sighting, "packets wait to be read at this packet socket", "try again in a moment, when the program has read them");
        SocketOptions.Examine(own.Number, sighting, context);
    }

    private static string? ShareProblem(Sighting sighting, int own, int number, ExamineContext context)
    {
        try
        {
            if (PacketFanout.Of(own) is (null, var why)) return why;
        }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EOPNOTSUPP) { return $"their order can't be looked at: {refusal.Message}"; }
        catch (KernelRefusal refusal) when (!context.Frozen && refusal.Errno is Errno.EFAULT or Errno.EBADF) { return null; }
        StateOf(sighting, context);
        var known = (Dictionary<uint, PacketSocketState>)context.Cache[Known];
        HashSet<uint> inside = [.. context.All.Where(SocketSight.IsSocket).Select(SocketSight.Inode)];
        return known.Values.Any(other => other.Fanout == number && !inside.Contains(other.Inode)) && context.Complete ? "one of them belongs to a process outside of the tree" : null;
    }

    private static void ExamineRing(Sighting sighting, int own, PacketRingShape shape, ExamineContext context)
    {
        if (KernelSight.Unavailable() is { } why)
        {
            context.Refuse(sighting, $"where the kernel stands in a ring of packets can't be looked at: {why}", "end the packet capture first");
            return;
        }
        try
        {
            var ring = PacketRingCapture.Of(own, shape, Version(own));
            if (ring.Problem() is { } problem) context.RefuseForNow(sighting, problem.Why, problem.Advice);
            else if (ring.PacketsBeside > 0) context.RefuseForNow(sighting, "packets too large for its ring wait to be read at this packet socket", "try again in a moment, when the program has read them");
        }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EOPNOTSUPP) { context.Refuse(sighting, $"where the kernel stands in a ring of packets can't be looked at: {refusal.Message}", "end the packet capture first"); }
        catch (KernelRefusal refusal) when (!context.Frozen && refusal.Errno is Errno.EFAULT or Errno.EBADF) { } // closed meanwhile; the frozen look is the true one
    }

    private static int Version(int own) => (int)Linux.Sockets.GetOption(own, SOL_PACKET, PACKET_VERSION).OrThrow("getsockopt(PACKET_VERSION)");

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        SocketSight sight = SocketSight.Of(sighting);
        using DescriptorHandle own = sighting.Take();
        (SysResult named, byte[] address) = Linux.Sockets.Name(own.Number);
        named.OrThrow("getsockname", $"process {sighting.Bearer.Pid}");
        int index = BinaryPrimitives.ReadInt32LittleEndian(address.AsSpan(4));
        PacketSocketState state = StateOf(sighting, context.Examined)!;
        int version = Version(own.Number);
        PacketRingCapture? ring = state.Ring is { } shape ? PacketRingCapture.Of(own.Number, shape, version) : null;
        return new PacketSocketRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Type = sight.Type,
            Protocol = BinaryPrimitives.ReadUInt16LittleEndian(address.AsSpan(2)),
            Interface = index == 0 ? "" : NameOf(index, sighting),
            Memberships = [.. state.Memberships.Select(one => new PacketMember(NameOf(one.Interface, sighting), one.Type, one.Address))],
            Options = SocketOptions.Capture(own.Number, sight.Family, sight.Type, 0),
            Ring = ring is null ? null : Ring(id, sighting, own.Number, ring, state.Ring!, version, context),
            CopyThreshold = ring?.CopyThreshold ?? 0,
            Fanout = state.Fanout < 0 ? null : PacketFanout.Of(own.Number) is ({ } fanout, _) ? fanout : throw new CaptureRefused(sighting, "those that it shares its packets with have just changed", "try again"),
        };
    }

    private static PacketRing Ring(int id, Sighting sighting, int own, PacketRingCapture ring, PacketRingShape shape, int version, DescriptorCaptureContext context)
    {
        (byte[] content, int from) = ring.Take(own) ?? throw new CaptureRefused(sighting, "packets come faster than its program reads them, or than its ring can be copied", "try again in a moment");
        return new PacketRing { Shape = shape, Version = version, Stored = context.StoreBytes($"packets-{id}", content), Inode = sighting.Status.Inode, From = (ulong)from };
    }

    private static string NameOf(int index, Sighting sighting) =>
        NetworkInterfaces.Name(index) ?? throw new CaptureRefused(sighting, $"the network interface that it is bound to (number {index}) is gone", "let the program open its capture again");

    public override void Plan(Description description, PlanContext context)
    {
        var record = (PacketSocketRecord)description;
        if ((Damage(record) ?? (record.Ring is { } ring ? PacketRingRestore.Damage(ring, context.HasStored) : null)) is { } damage)
        {
            context.Refuse(record, "packet socket", damage, "the image is damaged; take another checkpoint");
            return;
        }
        if (record.Fanout is { } shared && SockDiagPacket.All().Values.Any(other => other.Fanout == shared.Number))
            context.Refuse(record, "packet socket", $"packet sockets of another program have its group's number {shared.Number} (PACKET_FANOUT)", "end that program first (the original may still run)");
        foreach (string device in record.Memberships.Select(one => one.Interface).Append(record.Interface).Distinct())
            if (device.Length > 0 && NetworkInterfaces.Index(device) is null)
                context.Refuse(record, "packet socket", $"it is bound to the network interface {device}, which this host does not have", "restart on a host with an interface of that name");
    }

    private static string? Damage(PacketSocketRecord record)
    {
        if (record.Type is not (SOCK_DGRAM or SOCK_RAW) || record.Protocol is < 0 or > 0xffff || !NetworkInterfaces.IsName(record.Interface) && record.Interface.Length > 0) return "a value is out of range";
        if (record.Memberships.Length > MaxMemberships || record.Memberships.Any(one => one.Type is < 0 or > 3 || one.Address.Length > 8 || !NetworkInterfaces.IsName(one.Interface))) return "a membership has the wrong form";
        return record.Fanout?.Damage ?? SocketOptions.Damage(record.Options);
    }

    // Protocol 0 hears nothing: the filter is there before the first packet. Then it is one that lets nothing through.
    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (PacketSocketRecord)description;
        foreach (int earlier in record.Fanout?.Earlier(context.Descriptions) ?? []) context.DescriptorOf(earlier);
        int socket = Linux.Sockets.Create(AF_PACKET, record.Type).OrThrowDescriptor("socket(AF_PACKET)");
        SocketOptions.Set(socket, record.Options, SocketOptionPart.BeforeContent);
        DeafSocket.UntilResume(socket, record.Options, context);
        foreach (PacketMember member in record.Memberships)
        {
            // struct packet_mreq: interface, type, length of the address, address.
            byte[] request = new byte[16];
            BinaryPrimitives.WriteInt32LittleEndian(request, NetworkInterfaces.Index(member.Interface)!.Value);
            BinaryPrimitives.WriteUInt16LittleEndian(request.AsSpan(4), (ushort)member.Type);
            BinaryPrimitives.WriteUInt16LittleEndian(request.AsSpan(6), (ushort)member.Address.Length);
            member.Address.CopyTo(request.AsSpan(8));
            Linux.Sockets.SetOption(socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request).OrThrow($"setsockopt(PACKET_ADD_MEMBERSHIP) on {member.Interface}");
        }
        if (record.CopyThreshold != 0) Linux.Sockets.SetOption(socket, SOL_PACKET, PACKET_COPY_THRESH, record.CopyThreshold).OrThrow("setsockopt(PACKET_COPY_THRESH)");
        if (record.Ring is { } ring) PacketRingRestore.Run(socket, ring, context.StoredBytes(ring.Stored));
        if (record.Protocol == 0 && record.Interface.Length == 0) return socket;
        // struct sockaddr_ll: family, protocol, interface, and what bind does not look at.
        byte[] address = new byte[AddressLength];
        address[0] = AF_PACKET;
        BinaryPrimitives.WriteUInt16LittleEndian(address.AsSpan(2), (ushort)record.Protocol);
        if (record.Interface.Length > 0) BinaryPrimitives.WriteInt32LittleEndian(address.AsSpan(4), NetworkInterfaces.Index(record.Interface)!.Value);
        Linux.Sockets.Bind(socket, address).OrThrow($"bind of a packet socket to {(record.Interface.Length > 0 ? record.Interface : "all interfaces")}");
        record.Fanout?.Join(socket);
        return socket;
    }
}
