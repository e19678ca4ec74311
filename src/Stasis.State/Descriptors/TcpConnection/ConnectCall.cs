using Stasis.Linux;
using Stasis.Remote.X64;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>
/// A connect(2) that was interrupted while its handshake came to an end. The kernel answers the call, made again, with success only for a socket
/// that it remembers to be connecting (SS_CONNECTING, net/ipv4/af_inet.c), which none that is made anew is: it would say EISCONN.
/// </summary>
public static class ConnectCall
{
    private const int SocketCallConnect = 3; // SYS_CONNECT, include/uapi/linux/net.h

    /// <summary>The registers with which the task goes on: the call has succeeded, where that is what has become of its connection.</summary>
    /// <param name="descriptionOf">What a descriptor of the task is; null when it has no such one.</param>
    public static UserRegisters Finished(UserRegisters registers, SyscallRestart.MemoryReader memory, Func<int, Description?> descriptionOf)
    {
        if (Socket(registers, memory) is not { } socket) return registers;
        return descriptionOf(socket) is TcpConnectionRecord { Phase: not (TcpPhase.SynSent or TcpPhase.Ended) } ? registers with { rax = 0, orig_rax = ulong.MaxValue } : registers;
    }

    private static int? Socket(in UserRegisters registers, SyscallRestart.MemoryReader memory)
    {
        if (!SyscallRestart.IsRestart(registers)) return null;
        if (!Compat.IsIn(registers)) return (Syscall)registers.orig_rax == Syscall.connect ? (int)registers.rdi : null;
        if ((int)registers.orig_rax == Compat.connect) return (int)registers.rbx;
        Span<byte> argument = stackalloc byte[4];
        bool bySocketCall = (int)registers.orig_rax == Compat.socketcall && (int)registers.rbx == SocketCallConnect;
        return bySocketCall && memory((uint)registers.rcx, argument) ? BitConverter.ToInt32(argument) : null;
    }
}
