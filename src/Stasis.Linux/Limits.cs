namespace Stasis.Linux;

/// <summary>Resource limits of our own process (man 2 prlimit).</summary>
public static class Limits
{
    private const int RLIMIT_NOFILE = 7;

    /// <summary>Raises our limit on descriptor numbers to at least this, as far as the hard limit (or our rights) go. What comes later fails with its own error.</summary>
    public static void AllowDescriptors(int count)
    {
        Span<ulong> limit = stackalloc ulong[2];
        Kernel.CallWith(limit, address => Kernel.Call(Syscall.prlimit64, 0, RLIMIT_NOFILE, 0, address)).OrThrow("prlimit(RLIMIT_NOFILE)");
        if (limit[0] >= (ulong)count) return;
        ulong hard = Math.Max(limit[1], (ulong)count);
        Span<ulong> wanted = [(ulong)count, hard];
        if (!Kernel.CallWith(wanted, address => Kernel.Call(Syscall.prlimit64, 0, RLIMIT_NOFILE, address, 0)).Failed) return;
        wanted[0] = wanted[1] = limit[1];
        Kernel.CallWith(wanted, address => Kernel.Call(Syscall.prlimit64, 0, RLIMIT_NOFILE, address, 0)).OrThrow("prlimit(RLIMIT_NOFILE)");
    }
}
