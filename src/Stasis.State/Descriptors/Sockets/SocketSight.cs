using System.Globalization;
using System.Runtime.CompilerServices;
using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Descriptors.Sockets;

/// <summary>What kind of socket a descriptor is: /proc tells only "socket:[N]", the rest is asked of a duplicate.</summary>
public sealed record SocketSight(int Family, int Type, int Protocol)
{
    private static readonly ConditionalWeakTable<Sighting, SocketSight> s_seen = [];
    private static readonly SocketSight s_none = new(0, 0, 0);

    public static bool IsSocket(Sighting sighting) => sighting.Link.StartsWith("socket:[", StringComparison.Ordinal);

    /// <summary>All zeros for what is no socket, or is gone.</summary>
    public static SocketSight Of(Sighting sighting) => IsSocket(sighting) ? s_seen.GetValue(sighting, Look) : s_none;

    private static SocketSight Look(Sighting sighting)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return s_none;
        using var own = new DescriptorHandle(taken.Descriptor);
        SysResult family = Linux.Sockets.GetOption(own.Number, SocketConstants.SOL_SOCKET, SocketConstants.SO_DOMAIN);
        SysResult type = Linux.Sockets.GetOption(own.Number, SocketConstants.SOL_SOCKET, SocketConstants.SO_TYPE);
        SysResult protocol = Linux.Sockets.GetOption(own.Number, SocketConstants.SOL_SOCKET, SocketConstants.SO_PROTOCOL);
        return family.Failed || type.Failed || protocol.Failed ? s_none : new SocketSight((int)family.Value, (int)type.Value, (int)protocol.Value);
    }

    /// <summary>N of "socket:[N]", the same number as in sock_diag.</summary>
    public static uint Inode(Sighting sighting) => unchecked((uint)sighting.Status.Inode);

    /// <summary>False when the descriptor has been closed or means another socket by now; a check looks at a tree that runs on.</summary>
    public static bool IsStillThere(Sighting sighting) => Files.ReadLink($"/proc/{sighting.Pid}/fd/{sighting.Number}").Target == sighting.Link;

    /// <summary>Refuses a TCP socket whose segments are signed: the keys would be missing.</summary>
    public static void RefuseSigned(Sighting sighting, int socket, ExamineContext context)
    {
        const int TCP_AO_INFO = 40, InformationSize = 56; // include/uapi/linux/tcp.h, struct tcp_ao_info_opt; ENOENT without a key
        Span<byte> information = stackalloc byte[InformationSize];
        information.Clear();
        if (!Linux.Sockets.GetOption(socket, SocketConstants.SOL_TCP, TCP_AO_INFO, information).Failed)
            context.Refuse(sighting, "its TCP segments are signed (TCP-AO), which is not carried", "let the program take its keys off the socket first");
        const string Key = "signed TCP sockets";
        if (!context.Cache.TryGetValue(Key, out object? signed)) context.Cache[Key] = signed = SockDiagInet.Signed();
        if (((HashSet<uint>)signed).Contains(Inode(sighting)))
            context.Refuse(sighting, "its TCP segments are signed (TCP MD5), by keys that can't be read back", "let the program take its keys off the socket first");
    }

    /// <summary>Whether the process is in our network namespace. One of another can't be asked or rebuilt from here.</summary>
    public static bool SharesOurNetwork(Sighting sighting, ExamineContext context)
    {
        string key = $"network namespace of {sighting.Pid}";
        if (!context.Cache.TryGetValue(key, out object? same))
            context.Cache[key] = same = Files.ReadLink($"/proc/{sighting.Pid}/ns/net").Target == Files.ReadLink("/proc/self/ns/net").Target;
        return (bool)same;
    }
}

/// <summary>Who has a socket open, for messages. Looks through all of /proc, so it is for refusals only.</summary>
public static class SocketHolders
{
    /// <summary>"bash (pid 42)" for the first process outside of <paramref name="except"/> that has it, or words that nobody was found.</summary>
    public static string Describe(uint inode, IReadOnlySet<int> except)
    {
        string link = $"socket:[{inode}]";
        foreach (string name in Files.List("/proc").Names)
        {
            if (!int.TryParse(name, CultureInfo.InvariantCulture, out int pid) || except.Contains(pid)) continue;
            foreach (string number in Files.List($"/proc/{pid}/fd").Names)
                if (Files.ReadLink($"/proc/{pid}/fd/{number}").Target == link) return $"{ProcStat.Read(pid)?.Comm ?? "a process"} (pid {pid})";
        }
        return "a process that can't be seen from here";
    }
}
