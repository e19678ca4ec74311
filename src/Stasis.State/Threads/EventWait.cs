using System.Buffers.Binary;
using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State.Processes;

namespace Stasis.State.Threads;

/// <summary>
/// A wait for events with a limit (epoll_wait, epoll_pwait), looked at just before the freeze interrupts it. The kernel forgets then how far it had come,
/// and the call starts again whole: a program that is checkpointed again and again would never see its timers expire. So the call starts again with the
/// rest of its time. The timer lies on the task's kernel stack while it sleeps (kernel/time/sleep_timeout.c, struct hrtimer_sleeper).
/// </summary>
/// <param name="Arguments">The first four of the call, as it was made.</param>
/// <param name="End">When its time is up: nanoseconds of the host's CLOCK_MONOTONIC.</param>
/// <param name="Task">The sleeping task, and how often it had gone to sleep by then (nvcsw).</param>
public sealed record EventWait(Syscall Call, ulong[] Arguments, long End, KernelObject Task, ulong Sleeps)
{
    private const int StackSize = 16 * 1024, CLOCK_MONOTONIC = 1;
    private const long Millisecond = 1_000_000;

    private int Limit => unchecked((int)Arguments[3]);

    /// <summary>The threads of a running tree that are in one. For them the kernel's types are needed, which take longer to read than a freeze should.</summary>
    public static HashSet<int> In(TreeSurvey tree) =>
        [.. tree.Processes.Where(process => !process.Zombie && !process.ThirtyTwoBit).SelectMany(process => process.Tids.Where(tid => CallOf(process.Pid, tid) is not null))];

    // /proc/PID/syscall: the number, then the six arguments in hexadecimal (man 5 proc_pid_syscall). A limit of -1 is none.
    private static (Syscall Call, ulong[] Arguments)? CallOf(int pid, int tid)
    {
        string[] words = Files.ReadText($"/proc/{pid}/task/{tid}/syscall").Text.Split(' ');
        if (words.Length < 7 || !int.TryParse(words[0], CultureInfo.InvariantCulture, out int number) || (Syscall)number is not (Syscall.epoll_wait or Syscall.epoll_pwait)) return null;
        ulong[] arguments = new ulong[4];
        for (int i = 0; i < arguments.Length; i++)
            if (!ulong.TryParse(words[i + 1].AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out arguments[i])) return null;
        return unchecked((int)arguments[3]) > 0 ? ((Syscall)number, arguments) : null;
    }

    /// <summary>null where the thread is in none, or its timer is not found.</summary>
    public static EventWait? Look(int pid, int tid)
    {
        if (KernelSight.Unavailable() is not null || CallOf(pid, tid) is not { } call) return null;
        try
        {
            if (KernelSight.TaskOf(tid) is not { } task) return null;
            ulong sleeps = task["nvcsw"];
            return Expiry(task, unchecked((int)call.Arguments[3])) is { } end ? new EventWait(call.Call, call.Arguments, end, task, sleeps) : null;
        }
        catch (KernelRefusal) { return null; }
    }

    // It may wake up meanwhile, so what looks like its timer must be one that runs, on the right clock, for no longer than was asked for.
    private static long? Expiry(KernelObject task, int limit)
    {
        ulong stack = task["stack"], top = task["thread.sp"];
        if (top <= stack || top >= stack + StackSize) return null;
        byte[] content = new byte[stack + StackSize - top];
        if (!KernelSight.Read(top, content)) return null;
        int place = (int)new KernelObject("hrtimer_sleeper", 0).At("task");
        long now = ClockReading.Now(default).Monotonic;
        for (int at = place; at + 8 <= content.Length; at += 8)
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(content.AsSpan(at)) != task.Address) continue;
            var timer = new KernelObject("hrtimer", top + (ulong)(at - place));
            long end = (long)timer["_softexpires"];
            if ((timer["state"] & 0xff) == 1 && end > now - TimedWait.Second && end <= now + (limit + 1) * Millisecond && timer.Pointed("base", "hrtimer_clock_base") is { } clock && (int)clock["clockid"] == CLOCK_MONOTONIC) return end;
        }
        return null;
    }

    // A program with the call in its own code may have put the limit into its register for many calls.
    private static bool MayChange(Tracee tracee, in UserRegisters registers)
    {
        Span<byte> code = stackalloc byte[CodeAfterCall.Length];
        SysResult read = ProcessMemory.Read(tracee.Tgid, registers.rip, code);
        return !read.Failed && CodeAfterCall.ForgetsFourth(code[..(int)read.Value]);
    }

    private ulong Sleeping()
    {
        try { return Task["nvcsw"]; }
        catch (KernelRefusal) { return Sleeps; }
    }

    /// <summary>For the task, stopped, whose call is to start again: with what is left of its time.</summary>
    public void Shorten(Tracee tracee)
    {
        UserRegisters registers = tracee.Registers;
        if ((Syscall)registers.orig_rax != Call || registers.rax != unchecked((ulong)-(long)Errno.ERESTARTNOHAND)) return;
        if (registers.rdi != Arguments[0] || registers.rsi != Arguments[1] || registers.rdx != Arguments[2] || (int)registers.r10 != Limit) return;
        // It may have been woken before the stop, and have come back with the same arguments: the stop is the first sleep since.
        if (Sleeping() != Sleeps + 1 || !MayChange(tracee, registers)) return;
        long left = Math.Max(0, End - ClockReading.Now(default).Monotonic), milliseconds = Math.Min(Limit, (left + Millisecond - 1) / Millisecond);
        tracee.Registers = registers with { r10 = (ulong)milliseconds };
    }
}
