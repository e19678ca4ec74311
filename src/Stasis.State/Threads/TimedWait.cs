using System.Runtime.InteropServices;
using Stasis.Linux;
using Stasis.Remote.X64;

namespace Stasis.State.Threads;

/// <summary>
/// A wait with a limit that counts from its call (man 2 nanosleep, clock_nanosleep, poll, futex): those that the kernel takes up again by
/// restart_syscall, with what is left of them in a restart_block that only it can read. All others tell their rest in their arguments.
/// </summary>
/// <param name="Time">Where the limit lies (struct timespec); 0 for poll, which has it as an argument, in milliseconds.</param>
/// <param name="Rest">Where the kernel writes what is left when the wait is interrupted; 0 for nowhere.</param>
public readonly record struct TimedWait(Syscall Call, ulong Time, ulong Rest)
{
    public const long Second = 1_000_000_000;

    /// <summary>Longer ones are for ever, and what else an image says is none.</summary>
    public const long Longest = 4 * Second * Second;
    private const int TIMER_ABSTIME = 1, FUTEX_WAIT = 0, FUTEX_COMMANDS = 0x7f;

    /// <summary>Of the registers of an interrupted call; null where it is none of these. Not of 32-bit programs.</summary>
    public static TimedWait? Of(in UserRegisters r)
    {
        if (Compat.IsIn(r) || !SyscallRestart.IsRestart(r)) return null;
        return (Syscall)r.orig_rax switch
        {
            Syscall.nanosleep => new TimedWait(Syscall.nanosleep, r.rdi, r.rsi),
            Syscall.clock_nanosleep when ((int)r.rsi & TIMER_ABSTIME) == 0 => new TimedWait(Syscall.clock_nanosleep, r.rdx, r.r10),
            Syscall.poll when (int)r.rdx > 0 => new TimedWait(Syscall.poll, 0, 0),
            Syscall.futex when ((int)r.rsi & FUTEX_COMMANDS) == FUTEX_WAIT && r.r10 != 0 => new TimedWait(Syscall.futex, r.r10, 0),
            _ => null,
        };
    }

    public bool IsSleep => Call is Syscall.nanosleep or Syscall.clock_nanosleep;

    /// <summary>The limit in nanoseconds; null when it can't be read or is none.</summary>
    public long? Asked(int tid, in UserRegisters registers) => Time == 0 ? (int)registers.rdx * 1_000_000L : ReadTime(tid, Time);

    public static long? ReadTime(int tid, ulong address)
    {
        Span<long> time = stackalloc long[2];
        if (ProcessMemory.ReadExactly(tid, address, MemoryMarshal.AsBytes(time)).Failed) return null;
        return time[0] is < 0 or > 4 * Second || time[1] is < 0 or >= Second ? null : time[0] * Second + time[1];
    }

    /// <summary>struct timespec.</summary>
    public static byte[] Timespec(long nanoseconds)
    {
        (long seconds, long rest) = Math.DivRem(nanoseconds, Second);
        return [.. BitConverter.GetBytes(seconds), .. BitConverter.GetBytes(rest)];
    }
}
