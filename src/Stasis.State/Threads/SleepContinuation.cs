using Stasis.Linux;
using Stasis.Remote;
using Stasis.Remote.X64;

namespace Stasis.State.Threads;

/// <summary>
/// Takes up a wait where the checkpoint interrupted it. Only the kernel can write a restart_block, and it does when a call is interrupted: so the
/// task makes its call again, with what is left as the limit and a stop of ours already waiting, and gets its own registers back.
/// </summary>
public static class SleepContinuation
{
    /// <summary>For a complete task in an interrupt stop, as the last of all. Errors: <see cref="TargetGone"/>, <see cref="TargetUnruly"/>.</summary>
    public static void Run(ThreadRecord thread, BlankTask task, ClockShift clock)
    {
        Tracee tracee = task.Tracee;
        UserRegisters own = tracee.Registers;
        if (thread.WaitLeft is not { } recorded || TimedWait.Of(own) is not { } wait) return;
        long left = Math.Max(0, recorded - clock.PassedNanoseconds);
        byte[] before = new byte[16];
        if (wait.Time != 0)
        {
            if (ProcessMemory.ReadExactly(task.Tid, wait.Time, before).Failed || ProcessMemory.WriteForced(task.Tid, wait.Time, TimedWait.Timespec(left)).Failed) return;
        }
        UserRegisters call = SyscallRestart.Again(own);
        if (wait.Time == 0) call.rdx = (ulong)Math.Min(int.MaxValue, (left + 999_999) / 1_000_000);
        tracee.SignalMask = ulong.MaxValue;
        tracee.Registers = call;
        Expect(tracee);
        tracee.Interrupt();
        Expect(tracee);
        long result = (long)tracee.Registers.rax;
        if (wait.Time != 0) ProcessMemory.WriteForced(task.Tid, wait.Time, before).OrThrow("write of the limit of a wait", tracee.Whose);
        // What came to an end meanwhile has its result, and is not made again.
        tracee.Registers = own with { rax = (ulong)result, orig_rax = result == -(long)Errno.ERESTART_RESTARTBLOCK ? own.orig_rax : ulong.MaxValue };
        tracee.Interrupt(); // the stop at the call's end took the first one with it
        tracee.Continue();
        tracee.WaitForInterrupt();
        tracee.SignalMask = thread.SignalMask;
    }

    private static void Expect(Tracee tracee)
    {
        tracee.ContinueToSyscall();
        if (!tracee.WaitForStop().SyscallStop) throw new TargetUnruly($"{tracee.Whose} did not take up its wait");
    }
}
