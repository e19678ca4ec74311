using Stasis.Linux;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>
/// The urgent byte of a TCP stream (man 7 tcp; tcp_urg and tcp_recvmsg of net/ipv4): it stands among the others, where reads stop
/// before it and step over it, and is read out of band. The kernel keeps one.
/// </summary>
internal static class TcpUrgent
{
    private const int SO_OOBINLINE = 10;

    /// <summary>All bytes that wait, the urgent one at its place; where that is, -1 without one; and whether it has been read out of band.</summary>
    /// <param name="seen">What a plain look showed.</param>
    /// <param name="waiting">How many wait by the sequence numbers.</param>
    /// <returns>null when they can't be had on this kernel.</returns>
    public static (byte[] Received, int UrgentAt, bool Read)? Complete(TcpCapture capture, int socket, byte[] seen, int waiting)
    {
        bool here = TcpRepair.Count(socket, TcpRepair.SIOCATMARK) != 0, valid = (Poll.Events(socket) & Poll.POLLPRI) != 0;
        bool inLine = Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_OOBINLINE).OrThrow("getsockopt(SO_OOBINLINE)") != 0;
        if (seen.Length == waiting && !here) return (seen, -1, false);
        int at = here ? 0 : seen.Length;
        byte[] rest = here ? seen : capture.ReadBehind(socket, at, waiting - at);
        byte[] before = here ? [] : seen;
        Span<byte> urgent = stackalloc byte[1];
        urgent.Clear();
        if (!inLine && valid) Linux.Sockets.PeekUrgent(socket, urgent).OrThrow("recvfrom(MSG_OOB, MSG_PEEK)");
        byte[] all = inLine ? [.. before, .. rest] : [.. before, urgent[0], .. rest];
        return all.Length == waiting ? (all, at, !valid) : null;
    }

    /// <summary>The byte comes from the peer as it once came, and is read if the program has read it.</summary>
    public static void Restore(int socket, TcpConnectionRecord record, uint sequence, uint acknowledged, byte value)
    {
        TcpSegment.Deliver(record.Peer, record.Address, sequence, acknowledged, TcpSegment.ACK | TcpSegment.URG, TcpRestoration.WindowField(record), [value], urgent: 1);
        Span<byte> read = stackalloc byte[1];
        if (record.UrgentRead) Linux.Sockets.ReadUrgent(socket, read).OrThrow("recvfrom(MSG_OOB)");
    }
}
