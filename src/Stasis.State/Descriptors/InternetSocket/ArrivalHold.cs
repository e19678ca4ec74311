using System.Security.Cryptography;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// Keeps new clients from the TCP listeners of a tree, for a busy server nearly always has one that is not accepted yet:
/// 1. The tree runs, and the first segments of new clients are dropped, which send them again after a second.
/// 2. Handshakes under way come to their end, and the server accepts who waits.
/// 3. The tree is frozen with nobody at its door. If it is to go on, the filter goes when its descriptors are captured: who comes then waits in
///    the kernel as ever. If it is not, the filter stays until it has been killed: who came in between would be reset by its end.
/// The filter goes with us, however we end.
/// </summary>
public sealed class ArrivalHold : IDisposable
{
    private NfTables? _filter;
    private IReadOnlyList<byte[]> _listeners = [];

    public bool Holds => _filter is not null;
    public static bool Found(ExamineContext looked) => Arrivals.WereFound(looked);

    /// <summary>Whether a process of the tree is connecting: its next segment may be answered while the tree is frozen.</summary>
    public static bool TreeConnects(ExamineContext looked)
    {
        if (Arrivals.ListenersOf(looked).Count == 0) return false;
        HashSet<uint> held = [.. looked.All.Where(SocketSight.IsSocket).Select(SocketSight.Inode)];
        return SockDiagInet.Connecting().Exists(socket => held.Contains(socket.Inode));
    }

    /// <summary>
    /// Keeps new clients away from the listeners that a look has found; nothing to do without any, or where the packet filter can't be used.
    /// </summary>
    public void Begin(ExamineContext looked)
    {
        if (_filter is not null || Arrivals.ListenersOf(looked) is not { Count: > 0 } listeners || NfTables.Available().Failed) return;
        _listeners = listeners;
        _filter = NfTables.OwnArrivals($"stasis-arrivals-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}", listeners);
    }

    /// <summary>Whether nobody waits at the listeners now but for those whom the look that counts will carry.</summary>
    public bool Nobody(ExamineContext looked) => Arrivals.NobodyAt(_listeners, Arrivals.CarriedOf(looked));

    public void Dispose()
    {
        _filter?.Dispose();
        _filter = null;
        _listeners = [];
    }
}
