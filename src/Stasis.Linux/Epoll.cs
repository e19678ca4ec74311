using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>epoll(7) (include/uapi/linux/eventpoll.h).</summary>
public static class Epoll
{
    public const uint EPOLLIN = 1, EPOLLPRI = 2, EPOLLOUT = 4;
    public const uint EPOLLWAKEUP = 1u << 29, EPOLLONESHOT = 1u << 30, EPOLLET = 1u << 31, EPOLLEXCLUSIVE = 1u << 28;
    private const int EPOLL_CTL_ADD = 1, EPOLL_CTL_MOD = 3;

    public static SysResult Create() => Kernel.Call(Syscall.epoll_create1, OpenFlags.O_CLOEXEC);
    public static SysResult Add(int epoll, int target, uint events, ulong data) => Control(epoll, EPOLL_CTL_ADD, target, events, data);
    public static SysResult Modify(int epoll, int target, uint events, ulong data) => Control(epoll, EPOLL_CTL_MOD, target, events, data);

    private static SysResult Control(int epoll, int operation, int target, uint events, ulong data)
    {
        Span<EpollEvent> change = [new EpollEvent { events = events, data = data }];
        return Kernel.CallWith(change, address => Kernel.Call(Syscall.epoll_ctl, epoll, operation, target, address));
    }

    /// <summary>Takes at most one event without waiting; the number taken.</summary>
    public static SysResult TakeOne(int epoll)
    {
        Span<EpollEvent> taken = stackalloc EpollEvent[1];
        return Kernel.CallWith(taken, address => Kernel.CallRetrying(Syscall.epoll_wait, epoll, address, 1, 0));
    }

    /// <summary>Packed on x86-64 only (EPOLL_PACKED).</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    private struct EpollEvent
    {
        public uint events;
        public ulong data;
    }
}
