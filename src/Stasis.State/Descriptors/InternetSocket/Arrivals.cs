using System.Net;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// Clients of TCP listeners that no program has accepted, and handshakes under way. A server takes them within moments, which is waited for; who is
/// not taken is carried where the kernel lets us (<see cref="AcceptQueue"/>).
/// </summary>
internal static class Arrivals
{
    private const string Key = "clients of TCP listeners";

    /// <summary>Addresses of the tree's listeners, and whether something arrives at one of them.</summary>
    private sealed class Seen
    {
        public List<byte[]> Listeners { get; } = [];
        public bool Any { get; set; }
        public List<(byte[] Address, byte[] Peer)> Carried { get; } = [];
        public List<InetSocketState> Arriving { get; } = SockDiagInet.Arriving();
        public List<InetSocketState> AllListeners { get; } = SockDiagInet.Listening();
    }

    private static Seen In(ExamineContext context)
    {
        if (!context.Cache.TryGetValue(Key, out object? seen)) context.Cache[Key] = seen = new Seen();
        return (Seen)seen;
    }

    /// <summary>Addresses of the listeners that were examined.</summary>
    public static IReadOnlyList<byte[]> ListenersOf(ExamineContext context) => context.Cache.TryGetValue(Key, out object? seen) ? ((Seen)seen).Listeners : [];

    /// <summary>Whether a client was found at one of them, refused or not.</summary>
    public static bool WereFound(ExamineContext context) => context.Cache.TryGetValue(Key, out object? seen) && ((Seen)seen).Any;

    /// <summary>Who will be in the image though nobody has accepted them: our side's address and theirs.</summary>
    public static IReadOnlyList<(byte[] Address, byte[] Peer)> CarriedOf(ExamineContext context) => context.Cache.TryGetValue(Key, out object? seen) ? ((Seen)seen).Carried : [];

    /// <param name="own">A descriptor of ours for the listener.</param>
    /// <param name="waiting">How many clients wait at this listener by its own account.</param>
    public static void Examine(Sighting sighting, int own, byte[] address, int waiting, ExamineContext context)
    {
        Seen seen = In(context);
        seen.Listeners.Add(address);
        List<InetSocketState> here = [.. seen.Arriving.Where(one => IsAt(address, one.Address, seen.AllListeners))];
        string where = InternetAddress.Words(address);
        bool carry = here.Count + waiting > 0 && (context.CarriesClients || !context.Frozen) && AcceptQueue.Obstacle(own) is null && !IsSharedOutside(sighting, own, address, seen, context);
        if (carry && here.Exists(one => one.State == SockDiagInet.TCP_SYN_RECV)) CarryDeferred(sighting, own, here, seen, context);
        foreach (InetSocketState client in here.Where(one => one.State == SockDiagInet.TCP_SYN_RECV))
            Report(sighting, seen, $"the client {InternetAddress.Words(client.Peer)} has begun a connection to {where}, and its handshake is not over", IsOfTree(client.Address, client.Peer, context), context);
        if (waiting == 0 || carry && Carry(sighting, own, seen, context)) return;
        List<InetSocketState> clients = [.. here.Where(one => one.State != SockDiagInet.TCP_SYN_RECV)];
        foreach (InetSocketState client in clients)
            Report(sighting, seen, $"the client {InternetAddress.Words(client.Peer)} waits to be accepted at {where}", IsOfTree(client.Address, client.Peer, context), context);
        // Its peer has reset it: the program will be told of a connection without one.
        if (clients.Count == 0) Report(sighting, seen, $"{waiting} client(s) wait to be accepted at {where} and have gone again", false, context);
    }

    // Clients that are put back may come to any of those who share the address.
    private static bool IsSharedOutside(Sighting sighting, int own, byte[] address, Seen seen, ExamineContext context)
    {
        const int SO_REUSEPORT = 15;
        if (Linux.Sockets.GetOption(own, SOL_SOCKET, SO_REUSEPORT).Raw <= 0) return false;
        return seen.AllListeners.Any(other => other.Inode != SocketSight.Inode(sighting) && IsSame(other.Address, address) && !Held(context).Contains(other.Inode));
    }

    /// <summary>The same port and host, mapped or not.</summary>
    public static bool IsSame(byte[] a, byte[] b) => InternetAddress.Port(a) == InternetAddress.Port(b) && Host(a).Equals(Host(b));

    private static HashSet<uint> Held(ExamineContext context)
    {
        const string Sockets = "sockets by inode";
        if (!context.Cache.TryGetValue(Sockets, out object? held)) context.Cache[Sockets] = held = context.All.Where(SocketSight.IsSocket).Select(SocketSight.Inode).ToHashSet();
        return (HashSet<uint>)held;
    }

    private static void CarryDeferred(Sighting sighting, int own, List<InetSocketState> here, Seen seen, ExamineContext context)
    {
        List<UnacceptedClient> deferred;
        try { deferred = AcceptQueue.Deferred(own); }
        catch (KernelRefusal refusal) when (refusal.Errno is Errno.EFAULT or Errno.EOPNOTSUPP) { return; }
        foreach (UnacceptedClient client in deferred)
        {
            Keep(sighting, client, seen, context);
            here.RemoveAll(one => one.State == SockDiagInet.TCP_SYN_RECV && Pair(one.Address, one.Peer) == Pair(client.Address, client.Peer));
        }
    }

    private static void Keep(Sighting sighting, UnacceptedClient client, Seen seen, ExamineContext context)
    {
        if (IsOfTree(client.Address, client.Peer, context) || context.OutsideSockets != OutsideSocketPolicy.Close) seen.Carried.Add((client.Address, client.Peer));
        else context.Lose(sighting, $"the client {InternetAddress.Words(client.Peer)} waits to be accepted at {InternetAddress.Words(client.Address)}: its connection is reset");
    }

    private static bool Carry(Sighting sighting, int own, Seen seen, ExamineContext context)
    {
        List<(UnacceptedClient Client, byte[] Content)?> clients;
        try { clients = AcceptQueue.Look(own); }
        catch (KernelRefusal refusal) when (refusal.Errno is Errno.EFAULT or Errno.EOPNOTSUPP) { return refusal.Errno == Errno.EFAULT && !context.Frozen; }
        if (clients.Contains(null)) return false;
        foreach ((UnacceptedClient client, _) in clients.OfType<(UnacceptedClient, byte[])>()) Keep(sighting, client, seen, context);
        return true;
    }

    private static void Report(Sighting sighting, Seen seen, string what, bool ofTree, ExamineContext context)
    {
        if (!seen.Any) context.Passed.Add(() => NobodyAt(seen.Listeners, []));
        seen.Any = true;
        if (ofTree) context.StopLast.Add(sighting.Bearer.Pid);
        if (!ofTree && context.OutsideSockets == OutsideSocketPolicy.Close) context.Lose(sighting, $"{what}: its connection is reset");
        else context.RefuseForNow(sighting, what, ofTree ? "checkpoint when the program has accepted it"
            : "checkpoint when the program has accepted it, end it, or let it be reset: --outside-sockets close");
    }

    // The client's end, if it is on this host, has the same addresses the other way round, and a descriptor.
    private static bool IsOfTree(byte[] address, byte[] peer, ExamineContext context)
    {
        const string Ends = "ends of TCP connections";
        if (!context.Cache.TryGetValue(Ends, out object? known))
            context.Cache[Ends] = known = SockDiagInet.Connected().Where(end => end.Inode != 0).ToLookup(end => Pair(end.Address, end.Peer), end => end.Inode);
        return ((ILookup<string, uint>)known)[Pair(peer, address)].Any(Held(context).Contains);
    }

    private static string Pair(byte[] address, byte[] peer) => $"{Host(address)}:{InternetAddress.Port(address)} {Host(peer)}:{InternetAddress.Port(peer)}";

    private static IPAddress Host(byte[] address) => new IPAddress(InternetAddress.HostOf(address)) is { IsIPv4MappedToIPv6: true } mapped ? mapped.MapToIPv4() : new IPAddress(InternetAddress.HostOf(address));

    /// <summary>Whether nobody arrives at these addresses now, but for those who are carried.</summary>
    public static bool NobodyAt(IReadOnlyList<byte[]> listeners, IReadOnlyList<(byte[] Address, byte[] Peer)> carried)
    {
        List<InetSocketState> arriving = listeners.Count == 0 ? [] : SockDiagInet.Arriving();
        if (arriving.Count > 0 && carried.Count > 0)
        {
            HashSet<string> known = [.. carried.Select(client => Pair(client.Address, client.Peer))];
            arriving.RemoveAll(one => known.Contains(Pair(one.Address, one.Peer)));
        }
        if (arriving.Count == 0) return true;
        List<InetSocketState> all = SockDiagInet.Listening();
        return !arriving.Any(one => listeners.Any(listener => IsAt(listener, one.Address, all)));
    }

    /// <summary>Whether a connection to this address of ours came by this listener: one at exactly that host goes before one at any.</summary>
    public static bool IsAt(byte[] listener, byte[] address, IReadOnlyList<InetSocketState> all)
    {
        if (InternetAddress.Port(listener) != InternetAddress.Port(address)) return false;
        IPAddress host = Host(address);
        if (!InternetAddress.HasNoHost(listener)) return Host(listener).Equals(host);
        if (listener.Length == InternetAddress.Length(AF_INET) && host.AddressFamily != System.Net.Sockets.AddressFamily.InterNetwork) return false;
        return !all.Any(other => InternetAddress.Port(other.Address) == InternetAddress.Port(address) && Host(other.Address).Equals(host));
    }
}
