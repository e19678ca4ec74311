using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// Multipath TCP (Documentation/networking/mptcp.rst): Go listens with it unless told otherwise. A listener and a socket that is not connected are
/// made anew like those of TCP; what a listener accepts from a client of plain TCP is a plain TCP socket (net/mptcp/protocol.c,
/// mptcp_stream_accept). A connection that began with MPTCP has no repair mode, also where it has fallen back.
/// </summary>
internal static class Multipath
{
    private const int SOL_MPTCP = 284, MPTCP_INFO = 1, FlagsOffset = 8, MPTCP_INFO_FLAG_FALLBACK = 1;

    public static void Examine(int socket, Sighting sighting, ExamineContext context)
    {
        if (TcpInfo.Of(socket).State != TCP_LISTEN && WasConnected(socket))
        {
            bool fallen = IsFallback(socket);
            context.Refuse(sighting, fallen ? "its connection was begun with Multipath TCP (MPTCP) and went on as plain TCP, which is not carried" : "its connection is one of Multipath TCP (MPTCP), which is not carried",
                "start the program, or its peer, with plain TCP (Go: GODEBUG=multipathtcp=0; mptcpize disable), or close the connection first");
            return;
        }
        // What can be asked and not be told would be found at the restart only.
        using var fresh = new DescriptorHandle(Linux.Sockets.Create(SocketSight.Of(sighting).Family, SOCK_STREAM, IPPROTO_MPTCP).OrThrowDescriptor("socket(IPPROTO_MPTCP)"));
        try
        {
            SocketOptions.Set(fresh.Number, SocketOptions.Capture(socket, SocketSight.Of(sighting).Family, SOCK_STREAM, IPPROTO_MPTCP));
        }
        catch (KernelRefusal refusal)
        {
            context.Refuse(sighting, $"it has an option that a new MPTCP socket does not take ({refusal.Message})", "start the program with plain TCP (Go: GODEBUG=multipathtcp=0)");
        }
    }

    // As of TCP: only one that never was connected says ENOTCONN. A receive would take an error away.
    private static bool WasConnected(int socket)
    {
        if ((Poll.Events(socket) & Poll.POLLERR) != 0 || TcpInfo.Of(socket).State != TCP_CLOSE) return true;
        Span<byte> one = stackalloc byte[1];
        return Linux.Sockets.PeekStream(socket, one).Errno != Errno.ENOTCONN;
    }

    // struct mptcp_info: eight counts of one byte, then the flags.
    private static bool IsFallback(int socket)
    {
        Span<byte> information = stackalloc byte[FlagsOffset + 4];
        information.Clear();
        SysResult asked = Linux.Sockets.GetOption(socket, SOL_MPTCP, MPTCP_INFO, information);
        return asked.Failed || (information[FlagsOffset] & MPTCP_INFO_FLAG_FALLBACK) != 0;
    }

    /// <summary>Why none can be made; null when one can.</summary>
    public static Errno? Missing(int family)
    {
        SysResult made = Linux.Sockets.Create(family, SOCK_STREAM, IPPROTO_MPTCP);
        if (made.Failed) return made.Errno;
        Files.Close(made.Descriptor);
        return null;
    }
}
