namespace Stasis.Linux;

/// <summary>pipe2(2), tee(2).</summary>
public static unsafe class Pipes
{
    public static (int Read, int Write) Create(int flags)
    {
        int* ends = stackalloc int[2];
        Kernel.Call(Syscall.pipe2, (nint)ends, flags).OrThrow("pipe2");
        return (ends[0], ends[1]);
    }

    /// <summary>Copies what waits in one pipe into another without taking it, never waiting. EAGAIN when there is nothing.</summary>
    public static SysResult Tee(int source, int target, int length) => Kernel.CallRetrying(Syscall.tee, source, target, length, 2 /* SPLICE_F_NONBLOCK */);
}

/// <summary>poll(2) of one descriptor without waiting.</summary>
public static unsafe class Poll
{
    public const int POLLIN = 1, POLLPRI = 2, POLLOUT = 4, POLLERR = 8, POLLHUP = 16, POLLRDHUP = 0x2000;

    public static int Events(int descriptor)
    {
        // struct pollfd: fd 4, events 2, revents 2
        ulong pollfd = (uint)descriptor | (ulong)(POLLIN | POLLOUT | POLLPRI | POLLRDHUP) << 32;
        Kernel.CallRetrying(Syscall.poll, (nint)(&pollfd), 1, 0).OrThrow("poll");
        return (int)(pollfd >> 48);
    }
}
