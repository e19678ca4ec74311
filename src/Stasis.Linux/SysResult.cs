namespace Stasis.Linux;

/// <summary>What a system call gave: a value or an error number. The same type for our own calls and for calls on a tape.</summary>
public readonly record struct SysResult(long Raw)
{
    /// <summary>The kernel returns errors as -4095..-1 (man 2 syscalls; include/linux/err.h MAX_ERRNO).</summary>
    public bool Failed => Raw is < 0 and >= -4095;
    public Errno Errno => Failed ? (Errno)(int)-Raw : Errno.None;
    public long Value => Failed ? throw new InvalidOperationException($"no value: {Errno}") : Raw;
    public int Descriptor => checked((int)Value);

    public static SysResult Error(Errno errno) => new(-(long)errno);

    /// <summary>The value, or a <see cref="KernelRefusal"/> that names the call in words.</summary>
    public long OrThrow(string call, string? whose = null) => Failed ? throw new KernelRefusal(call, Errno, whose) : Raw;
}

/// <summary>The kernel refused a call. The message holds the call with its arguments in words, the errno name and whose call it was.</summary>
public sealed class KernelRefusal(string call, Errno errno, string? whose = null)
    : Exception(whose is null ? $"{call}: {errno}" : $"{call} in {whose}: {errno}")
{
    public string Call { get; } = call;
    public Errno Errno { get; } = errno;
}

/// <summary>A mistake of our own, found by an assertion that stays on in release.</summary>
public sealed class InvariantBroken(string message) : Exception(message)
{
    public static void Require(bool condition, string message)
    {
        if (!condition) throw new InvariantBroken(message);
    }
}
