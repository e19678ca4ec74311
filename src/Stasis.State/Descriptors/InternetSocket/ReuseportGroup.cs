using System.Buffers.Binary;
using Stasis.Linux;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// Sockets that share an address (SO_REUSEPORT): the kernel gives each client to one of them, by a hash or a program, which count them in the order in which
/// they came (net/core/sock_reuseport.c). No call tells the order or the program; the kernel's memory does.
/// </summary>
/// <param name="Position">Its place in the group, -1 without one.</param>
/// <param name="Program">Instructions of the classic BPF program that chooses; empty without one.</param>
/// <param name="IsExtended">The program is an eBPF one, which can't be read back.</param>
internal readonly record struct ReuseportGroup(int Position, byte[] Program, bool IsExtended)
{
    public const int MaxInstructions = 4096;
    private const int SO_REUSEPORT = 15, SO_ATTACH_REUSEPORT_CBPF = 51, InstructionSize = 8, MaxMembers = 1 << 16;
    private static readonly ReuseportGroup s_none = new(-1, [], false);

    /// <summary>By a descriptor of ours. Where the kernel's memory can't be read, no group is known.</summary>
    public static ReuseportGroup Of(int socket)
    {
        if (Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_REUSEPORT).Raw <= 0 || KernelSight.Unavailable() is not null) return s_none;
        try
        {
            if (!KernelSight.FilesOf(Environment.ProcessId).TryGetValue(socket, out KernelObject file) || file.Pointed("private_data", "socket")?.Pointed("sk", "sock") is not { } own) return s_none;
            if (own.Pointed("sk_reuseport_cb", "sock_reuseport") is not { } group) return s_none;
            int position = Positions(group).IndexOf(own.Address);
            if (group.Pointed("prog", "bpf_prog") is not { } program) return new ReuseportGroup(position, [], false);
            byte[] instructions = program.Pointed("orig_prog", "sock_fprog_kern") is { } original ? Instructions(original) : [];
            return new ReuseportGroup(position, instructions, instructions.Length == 0);
        }
        catch (KernelRefusal) when (KernelSight.Unavailable() is null)
        {
            return s_none; // it is changing: a tree that runs
        }
    }

    private static List<ulong> Positions(KernelObject group)
    {
        byte[] members = new byte[Math.Min((int)group["num_socks"], MaxMembers) * 8];
        if (!KernelSight.Read(group.At("socks"), members)) return [];
        return [.. Enumerable.Range(0, members.Length / 8).Select(i => BinaryPrimitives.ReadUInt64LittleEndian(members.AsSpan(i * 8)))];
    }

    private static byte[] Instructions(KernelObject original)
    {
        byte[] instructions = new byte[Math.Min((int)original["len"], MaxInstructions) * InstructionSize];
        return KernelSight.Read(original["filter"], instructions) ? instructions : [];
    }

    public static string? Damage(InternetSocketRecord record) =>
        record.GroupPosition is < -1 or >= MaxMembers || record.GroupProgram.Length % InstructionSize != 0 || record.GroupProgram.Length > MaxInstructions * InstructionSize ? "its place among the sockets of its address is out of range" : null;

    /// <summary>Those of the same address that came before it.</summary>
    public static IEnumerable<int> Earlier(InternetSocketRecord record, IReadOnlyDictionary<int, Description> all) => record.GroupPosition <= 0 ? [] : all.Values.OfType<InternetSocketRecord>()
        .Where(other => other.GroupPosition >= 0 && other.GroupPosition < record.GroupPosition && other.Protocol == record.Protocol && other.Address.AsSpan().SequenceEqual(record.Address))
        .OrderBy(other => other.GroupPosition).Select(other => other.Id);

    /// <summary>The program belongs to the group; each that comes attaches it again.</summary>
    public static void Attach(int socket, InternetSocketRecord record)
    {
        if (record.GroupProgram.Length > 0) Linux.Sockets.AttachFilter(socket, record.GroupProgram, SO_ATTACH_REUSEPORT_CBPF).OrThrow("setsockopt(SO_ATTACH_REUSEPORT_CBPF)");
    }
}
