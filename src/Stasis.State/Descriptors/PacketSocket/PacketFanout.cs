using System.Buffers.Binary;
using Stasis.Linux;

namespace Stasis.State.Descriptors.PacketSocket;

/// <summary>Packet sockets that share what they hear (PACKET_FANOUT, man 7 packet).</summary>
/// <param name="Number">The group's.</param>
/// <param name="Mode">PACKET_FANOUT_HASH 0 to PACKET_FANOUT_QM 5: how a packet finds its socket.</param>
/// <param name="Flags">PACKET_FANOUT_FLAG_* of 8 bits.</param>
/// <param name="Most">How many sockets it may have.</param>
/// <param name="Position">The socket's place among them, by which packets find it: no call tells that, the kernel's memory does.</param>
public sealed record PacketFanout(int Number, int Mode, int Flags, int Most, int Position)
{
    private const int SOL_PACKET = 263, PACKET_FANOUT = 18, LastMode = 5, MostMembers = 1 << 16;

    /// <summary>Of a descriptor of ours that is in a group; null and why when it can't join it again.</summary>
    public static (PacketFanout? Fanout, string Why) Of(int own)
    {
        uint told = (uint)Linux.Sockets.GetOption(own, SOL_PACKET, PACKET_FANOUT).OrThrow("getsockopt(PACKET_FANOUT)");
        var fanout = new PacketFanout((int)(told & 0xffff), (int)(told >> 16 & 0xff), (int)(told >> 24), 0, 0);
        if (fanout.Mode > LastMode) return (null, "a BPF program chooses among them");
        if (KernelSight.Unavailable() is { } why) return (null, $"their order can't be looked at: {why}");
        KernelObject socket = KernelSocket.Of(own, "packet_sock");
        if (socket.Pointed("fanout", "packet_fanout") is not { } group) return (null, "it is just leaving them");
        byte[] members = new byte[Math.Min((int)group["num_members"], MostMembers) * 8];
        if (!KernelSight.Read(group.At("arr"), members)) return (null, "their order can't be looked at");
        int position = Enumerable.Range(0, members.Length / 8).FirstOrDefault(i => BinaryPrimitives.ReadUInt64LittleEndian(members.AsSpan(i * 8)) == socket.Address, -1);
        return position < 0 ? (null, "its network interface is down") : (fanout with { Most = (int)group["max_num_members"], Position = position }, "");
    }

    public string? Damage => Number is < 0 or > 0xffff || Mode is < 0 or > LastMode || Flags is < 0 or > 0xff || Most is < 0 or > MostMembers || Position is < 0 or >= MostMembers ? "its place among those that share its packets is out of range" : null;

    /// <summary>Those of the same group that came before it.</summary>
    public IEnumerable<int> Earlier(IReadOnlyDictionary<int, Description> all) =>
        all.Values.OfType<PacketSocketRecord>().Where(other => other.Fanout is { } theirs && theirs.Number == Number && theirs.Position < Position).OrderBy(other => other.Fanout!.Position).Select(other => other.Id);

    /// <summary>For a socket that is bound. The first of them makes the group.</summary>
    public void Join(int socket)
    {
        // struct fanout_args: number, mode and flags, most members.
        byte[] request = new byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(request, (ushort)Number);
        BinaryPrimitives.WriteUInt16LittleEndian(request.AsSpan(2), (ushort)(Mode | Flags << 8));
        BinaryPrimitives.WriteInt32LittleEndian(request.AsSpan(4), Most);
        Linux.Sockets.SetOption(socket, SOL_PACKET, PACKET_FANOUT, request).OrThrow($"setsockopt(PACKET_FANOUT, {Number})");
    }
}
