using Stasis.Linux;

namespace Stasis.State.Threads;

/// <summary>
/// A sleep that the checkpoint interrupted, when the time on disk counts (`--clock real`). What is left of it lies where the program
/// asked the kernel to write it (sleep(3) and usleep(3) let it be written over the request); without such a place the whole request is
/// what we know.
/// </summary>
public static class SleepShift
{
    public static UserRegisters Apply(UserRegisters registers, int tid, ClockShift clock)
    {
        if (clock.PassedNanoseconds == 0 || TimedWait.Of(registers) is not { IsSleep: true } sleep) return registers;
        if (TimedWait.ReadTime(tid, sleep.Rest != 0 ? sleep.Rest : sleep.Time) is not { } time) return registers;
        long left = time - clock.PassedNanoseconds;
        if (left <= 0)
        {
            // It is over: the call returns 0, and is not made again.
            registers.rax = 0;
            registers.orig_rax = ulong.MaxValue;
        }
        else if (sleep.Rest == sleep.Time)
            ProcessMemory.Write(tid, sleep.Time, TimedWait.Timespec(left)).OrThrow("write of the rest of a sleep", $"task {tid}");
        return registers;
    }
}
