namespace Stasis.Linux;

/// <summary>What one task may ask the kernel about another by its id.</summary>
public static unsafe class TaskQueries
{
    public static (SysResult Result, ulong Head, ulong Length) RobustList(int tid)
    {
        ulong head = 0, length = 0;
        SysResult result = Kernel.Call(Syscall.get_robust_list, tid, (nint)(&head), (nint)(&length));
        return (result, head, length);
    }

    /// <summary>struct sched_attr into the buffer (56 bytes).</summary>
    public static SysResult SchedulingAttributes(int tid, Span<byte> attributes)
    {
        fixed (byte* pointer = attributes) return Kernel.Call(Syscall.sched_getattr, tid, (nint)pointer, attributes.Length, 0);
    }

    /// <summary>The CPUs the task may run on, a bit each.</summary>
    public static (SysResult Result, byte[] Mask) Affinity(int tid)
    {
        byte[] mask = new byte[1024];
        fixed (byte* pointer = mask)
        {
            SysResult result = Kernel.Call(Syscall.sched_getaffinity, tid, mask.Length, (nint)pointer);
            return (result, result.Failed ? [] : mask.AsSpan(0, (int)result.Value).ToArray());
        }
    }

    /// <summary>CLOCK_MONOTONIC (1) or another clock, in nanoseconds.</summary>
    public static long Clock(int clock)
    {
        long* timespec = stackalloc long[2];
        Kernel.Call(Syscall.clock_gettime, clock, (nint)timespec).OrThrow("clock_gettime");
        return timespec[0] * 1_000_000_000 + timespec[1];
    }
}

/// <summary>What one task may set on another by its id.</summary>
public static unsafe class TaskSettings
{
    public static SysResult SchedulingAttributes(int tid, ReadOnlySpan<byte> attributes)
    {
        fixed (byte* pointer = attributes) return Kernel.Call(Syscall.sched_setattr, tid, (nint)pointer, 0);
    }

    public static SysResult Affinity(int tid, ReadOnlySpan<byte> mask)
    {
        fixed (byte* pointer = mask) return Kernel.Call(Syscall.sched_setaffinity, tid, mask.Length, (nint)pointer);
    }
}
