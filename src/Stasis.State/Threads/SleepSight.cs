using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote.X64;
using Stasis.State.Processes;

namespace Stasis.State.Threads;

/// <summary>What is left of a wait that the freeze interrupted, read from the kernel's restart_block where the kernel tells nobody.</summary>
public static class SleepSight
{
    private const int CLOCK_MONOTONIC = 1, CLOCK_BOOTTIME = 7;

    /// <summary>Shorter waits start again whole: that takes less than it would take to look.</summary>
    private const long Shortest = TimedWait.Second;

    /// <summary>
    /// Whether a thread of a running tree is in such a wait: the kernel's types, which are then needed, take longer to read than a freeze should.
    /// </summary>
    public static bool IsNeeded(TreeSurvey tree) =>
        tree.Processes.Where(process => !process.Zombie).Any(process => process.Tids.Any(tid => InWait(Files.ReadText($"/proc/{process.Pid}/task/{tid}/syscall").Text)));

    // /proc/PID/syscall: the number, then the six arguments in hexadecimal (man 5 proc_pid_syscall)
    private static bool InWait(string line)
    {
        string[] words = line.Split(' ');
        if (words.Length < 7 || !int.TryParse(words[0], CultureInfo.InvariantCulture, out int number)) return false;
        ulong Argument(int place) => ulong.TryParse(words[place + 1].AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong value) ? value : 0;
        var registers = new UserRegisters
        {
            orig_rax = (ulong)number,
            rax = unchecked((ulong)-(long)Errno.ERESTARTNOHAND),
            cs = Compat.LongCodeSegment,
            rdi = Argument(0),
            rsi = Argument(1),
            rdx = Argument(2),
            r10 = Argument(3),
        };
        return TimedWait.Of(registers) is { } wait && (wait.Time != 0 || (int)registers.rdx >= Shortest / 1_000_000) && (wait.Time == 0 || wait.Time != wait.Rest);
    }

    /// <summary>
    /// The nanoseconds left of the wait that a frozen task was interrupted in; null where it is in none, or where the rest is told otherwise or not at all.
    /// </summary>
    /// <param name="registers">Of the interrupted call, with its number.</param>
    public static long? Left(int tid, in UserRegisters registers)
    {
        if (TimedWait.Of(registers) is not { } wait || wait.Time != 0 && wait.Time == wait.Rest) return null;
        if (wait.Asked(tid, registers) is not { } asked || asked < Shortest || KernelSight.Unavailable() is not null) return null;
        try
        {
            return KernelSight.TaskOf(tid) is { } task && Expiry(task, wait.Call) is var (clock, end) && Now(clock) is { } now && end - now is var left && left <= asked ? Math.Max(0, left) : null;
        }
        catch (KernelRefusal) { return null; }
    }

    /// <summary>Which of several calls a frozen task is in, by what its restart_block has of their arguments; null where that tells none or several.</summary>
    public static Syscall? Choose(int tid, in UserRegisters registers, IReadOnlyList<Syscall> calls)
    {
        if (KernelSight.Unavailable() is not null) return null;
        try
        {
            if (KernelSight.TaskOf(tid) is not { } task) return null;
            UserRegisters r = registers;
            List<Syscall> matching = [.. calls.Where(call => Matches(task, call, r))];
            return matching.Count == 1 ? matching[0] : null;
        }
        catch (KernelRefusal) { return null; }
    }

    private static bool Matches(KernelObject task, Syscall call, in UserRegisters r) => call switch
    {
        Syscall.poll => task["restart_block.poll.ufds"] == r.rdi && (int)task["restart_block.poll.nfds"] == (int)r.rsi,
        Syscall.futex => task["restart_block.futex.uaddr"] == r.rdi && (uint)task["restart_block.futex.val"] == (uint)r.rdx,
        _ => task["restart_block.nanosleep.clockid"] is CLOCK_MONOTONIC or CLOCK_BOOTTIME && task["restart_block.nanosleep.rmtp"] == (call == Syscall.nanosleep ? r.rsi : r.r10),
    };

    private static (int Clock, long End)? Expiry(KernelObject task, Syscall call)
    {
        switch (call)
        {
            case Syscall.poll:
                string end = KernelSight.Has("task_struct", "restart_block.poll.tv_sec") ? "restart_block.poll." : "restart_block.poll.end_time.";
                return (CLOCK_MONOTONIC, (long)task[$"{end}tv_sec"] * TimedWait.Second + (long)task[$"{end}tv_nsec"]);
            case Syscall.futex:
                return (CLOCK_MONOTONIC, (long)task["restart_block.futex.time"]);
            default:
                return ((int)task["restart_block.nanosleep.clockid"], (long)task["restart_block.nanosleep.expires"]);
        }
    }

    // As the kernel counts, which knows of no time namespaces.
    private static long? Now(int clock) => clock switch
    {
        CLOCK_MONOTONIC => ClockReading.Now(default).Monotonic,
        CLOCK_BOOTTIME => ClockReading.Now(default).Boottime,
        _ => null,
    };
}
