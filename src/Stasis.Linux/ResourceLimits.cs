namespace Stasis.Linux;

/// <summary>Our own resource limits (man 2 prlimit).</summary>
public static unsafe class ResourceLimits
{
    public static (ulong Soft, ulong Hard) Own(int resource)
    {
        ulong* limit = stackalloc ulong[2];
        Kernel.Call(Syscall.prlimit64, 0, resource, 0, (nint)limit).OrThrow("prlimit");
        return (limit[0], limit[1]);
    }

    public static SysResult SetOwn(int resource, ulong soft, ulong hard)
    {
        ulong* limit = stackalloc ulong[2] { soft, hard };
        return Kernel.Call(Syscall.prlimit64, 0, resource, (nint)limit, 0);
    }
}
