using Stasis.Linux;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// What the kernel keeps of a TCP connection with no program behind it: of a closed one for a minute (TIME_WAIT), and of a handshake whose listener is gone,
/// as of a client that TCP_DEFER_ACCEPT kept waiting, until its timer looks, which may be as long (net/ipv4/inet_connection_sock.c, reqsk_timer_handler).
/// One that the original left stands in the way of the same connection, and of a listener at its port that was bound without SO_REUSEADDR.
/// </summary>
internal static class TimeWait
{
    /// <summary>Ends those of one connection. Where the kernel can't (no SOCK_DESTROY), the next bind or connect tells.</summary>
    public static void End(byte[] address, byte[] peer)
    {
        foreach (InetSocketState socket in SockDiagInet.TimeWaiting())
            if (Same(socket.Address, address) && Same(socket.Peer, peer)) SockDiagInet.End(socket);
        List<InetSocketState> handshakes = [.. SockDiagInet.Arriving().Where(socket => socket.State == SockDiagInet.TCP_SYN_RECV && Same(socket.Address, address) && Same(socket.Peer, peer))];
        if (handshakes.Count == 0 || SockDiagInet.Listening().Exists(listener => InternetAddress.Port(listener.Address) == InternetAddress.Port(address))) return;
        foreach (InetSocketState handshake in handshakes) SockDiagInet.End(handshake);
    }

    /// <summary>Ends those at one port of ours.</summary>
    public static void EndAt(int port)
    {
        foreach (InetSocketState socket in SockDiagInet.TimeWaiting())
            if (InternetAddress.Port(socket.Address) == port) SockDiagInet.End(socket);
    }

    // Family, port and host; not the scope. A mapped address is listed as it was made.
    private static bool Same(byte[] a, byte[] b) => a.AsSpan(0, Math.Min(a.Length, 24)).SequenceEqual(b.AsSpan(0, Math.Min(b.Length, 24)));
}
