using System.Buffers.Binary;
using System.Runtime.InteropServices;
using static Stasis.Linux.SocketConstants;

namespace Stasis.Linux;

/// <summary>
/// TCP's repair mode (include/uapi/linux/tcp.h; net/ipv4/tcp.c): a socket whose queues, numbers and options can be read and set, that
/// connects without a handshake, and whose close tells nobody. The mode belongs to the socket, not to who set it.
/// </summary>
public static class TcpRepair
{
    public const int TCP_INFO = 11, TCP_REPAIR = 19, TCP_REPAIR_QUEUE = 20, TCP_QUEUE_SEQ = 21, TCP_REPAIR_OPTIONS = 22, TCP_TIMESTAMP = 24, TCP_REPAIR_WINDOW = 29, TCP_ULP = 31;
    public const int TCP_MAXSEG = 2, TCP_WINDOW_CLAMP = 10;

    /// <summary>Values of TCP_REPAIR: leaving with a probe that makes the peer answer, and without one.</summary>
    public const int On = 1, OffWithProbe = 0, OffSilently = -1;

    /// <summary>Values of TCP_REPAIR_QUEUE.</summary>
    public const int ReceiveQueue = 1, SendQueue = 2;
    public const int SIOCINQ = 0x541B, SIOCOUTQ = 0x5411, SIOCOUTQNSD = 0x894B, SIOCATMARK = 0x8905;

    /// <summary>Bytes of struct tcp_repair_window: snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup.</summary>
    public const int WindowSize = 20;

    public static SysResult Set(int socket, int mode) => Linux.Sockets.SetOption(socket, SOL_TCP, TCP_REPAIR, mode);
    public static SysResult Select(int socket, int queue) => Linux.Sockets.SetOption(socket, SOL_TCP, TCP_REPAIR_QUEUE, queue);
    public static SysResult SetSequence(int socket, uint sequence) => Linux.Sockets.SetOption(socket, SOL_TCP, TCP_QUEUE_SEQ, unchecked((int)sequence));
    public static SysResult SetTimestamp(int socket, uint timestamp) => Linux.Sockets.SetOption(socket, SOL_TCP, TCP_TIMESTAMP, unchecked((int)timestamp));

    /// <summary>What both sides agreed on in the handshake; scales are -1 without window scaling.</summary>
    public static SysResult SetOptions(int socket, int segment, int sendScale, int receiveScale, bool selectiveAcknowledgement, bool timestamps)
    {
        const int TCPOPT_MSS = 2, TCPOPT_WINDOW = 3, TCPOPT_SACK_PERM = 4, TCPOPT_TIMESTAMP = 8;
        List<uint> options = [TCPOPT_MSS, (uint)segment];
        if (sendScale >= 0) options.AddRange([TCPOPT_WINDOW, (uint)(sendScale | receiveScale << 16)]);
        if (selectiveAcknowledgement) options.AddRange([TCPOPT_SACK_PERM, 0]);
        if (timestamps) options.AddRange([TCPOPT_TIMESTAMP, 0]);
        return Linux.Sockets.SetOption(socket, SOL_TCP, TCP_REPAIR_OPTIONS, MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(options)));
    }

    public static SysResult SetWindow(int socket, ReadOnlySpan<uint> window) => Linux.Sockets.SetOption(socket, SOL_TCP, TCP_REPAIR_WINDOW, MemoryMarshal.AsBytes(window));

    /// <summary>The number of bytes that one of the SIOC queries tells.</summary>
    public static int Count(int socket, int query)
    {
        Span<byte> count = stackalloc byte[4];
        Files.IoControl(socket, (ulong)query, count).OrThrow("ioctl of a TCP queue");
        return BinaryPrimitives.ReadInt32LittleEndian(count);
    }
}

/// <summary>The head of struct tcp_info (include/uapi/linux/tcp.h).</summary>
public readonly record struct TcpInfo(int State, int Options, int SendScale, int ReceiveScale)
{
    public const int Size = 248;
    private const int TCPI_OPT_TIMESTAMPS = 1, TCPI_OPT_SACK = 2, TCPI_OPT_WSCALE = 4;

    public bool Timestamps => (Options & TCPI_OPT_TIMESTAMPS) != 0;
    public bool SelectiveAcknowledgement => (Options & TCPI_OPT_SACK) != 0;
    public bool WindowScaling => (Options & TCPI_OPT_WSCALE) != 0;

    public static TcpInfo Parse(ReadOnlySpan<byte> info) => new(info[0], info[5], info[6] & 15, info[6] >> 4);

    public static TcpInfo Of(int socket)
    {
        Span<byte> info = stackalloc byte[Size];
        info.Clear();
        Sockets.GetOption(socket, SOL_TCP, TcpRepair.TCP_INFO, info).OrThrow("getsockopt(TCP_INFO)");
        return Parse(info);
    }
}
