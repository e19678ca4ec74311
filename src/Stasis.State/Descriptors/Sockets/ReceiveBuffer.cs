using System.Buffers.Binary;
using Stasis.Linux;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.Sockets;

/// <summary>A socket's receive buffer with another size for a while; afterwards it is as before, also in whether its program has set it (man 7 socket, SO_BUF_LOCK).</summary>
internal sealed class ReceiveBuffer : IDisposable
{
    public const int Wide = 1 << 29;
    private const int SOCK_RCVBUF_LOCK = 2;
    private readonly int _socket, _size, _locks;

    /// <param name="bytes">The kernel makes twice that of it, and no less than it needs.</param>
    public ReceiveBuffer(int socket, int bytes)
    {
        _socket = socket;
        _size = (int)(Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_RCVBUF).OrThrow("getsockopt(SO_RCVBUF)") / 2);
        _locks = (int)Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_BUF_LOCK).OrThrow("getsockopt(SO_BUF_LOCK)");
        Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_RCVBUFFORCE, bytes).OrThrow("setsockopt(SO_RCVBUFFORCE)");
        // What is made of it meanwhile (a listener's connections) has no fixed buffer for that.
        Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_BUF_LOCK, _locks).OrThrow("setsockopt(SO_BUF_LOCK)");
    }

    /// <summary>Whether its program has set it.</summary>
    public static bool IsFixed(int socket) => (Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_BUF_LOCK).OrThrow("getsockopt(SO_BUF_LOCK)") & SOCK_RCVBUF_LOCK) != 0;

    /// <summary>Bytes of kernel memory that what waits takes (include/uapi/linux/sock_diag.h, SK_MEMINFO_RMEM_ALLOC).</summary>
    public static long Taken(int socket)
    {
        Span<byte> memory = stackalloc byte[36];
        Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_MEMINFO, memory).OrThrow("getsockopt(SO_MEMINFO)");
        return BinaryPrimitives.ReadUInt32LittleEndian(memory);
    }

    /// <summary>Whether more waits than before. What we have sent ourselves comes at once, but for a kernel that leaves it to a thread of its own (ksoftirqd, RPS).</summary>
    public static bool HasTaken(int socket, long before) => Pause.Until(() => Taken(socket) > before);

    public void Dispose()
    {
        Linux.Sockets.SetOption(_socket, SOL_SOCKET, SO_RCVBUFFORCE, _size);
        Linux.Sockets.SetOption(_socket, SOL_SOCKET, SO_BUF_LOCK, _locks);
    }
}
