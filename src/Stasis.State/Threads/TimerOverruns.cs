using System.Buffers.Binary;
using Stasis.Linux;
using Stasis.State.Processes;

namespace Stasis.State.Threads;

/// <summary>
/// A timer's signal that waits is one, however often the timer has expired since; how often it tells when it is taken (si_overrun, man 2
/// timer_getoverrun). Until then the kernel keeps that with the timer (struct k_itimer, include/linux/posix-timers.h) and shows it nobody.
/// </summary>
public static class TimerOverruns
{
    private const int SI_TIMER = -2, CodeAt = 8, TimerAt = 16, OverrunAt = 20, MaxTimers = 1 << 20;

    /// <summary>
    /// Writes the number into the waiting signals of a process's timers, which a restart sends as they are. One that an earlier restart has sent has its
    /// number, and the timer's own, which comes after it, is counted with it. Where the kernel can't be looked at the own one keeps none.
    /// </summary>
    /// <param name="tid">A living task of the process, which is frozen and has asked its timers for the time: that brings the kernel's count up to date.</param>
    public static ProcessRecord Counted(int tid, ProcessRecord process)
    {
        if (!process.SharedPendingSignals.Concat(process.Threads.SelectMany(thread => thread.PendingSignals)).Any(IsTimers)) return process;
        Dictionary<int, long> seen = KernelSight.Unavailable() is null ? Of(tid) : [];
        Dictionary<int, long> overruns = process.PosixTimers.ToDictionary(timer => timer.Id, timer => seen.GetValueOrDefault(timer.Id));
        return process with
        {
            SharedPendingSignals = Counted(process.SharedPendingSignals, overruns),
            Threads = [.. process.Threads.Select(thread => thread with { PendingSignals = Counted(thread.PendingSignals, overruns) })],
        };
    }

    private static bool IsTimers(byte[] signal) => BinaryPrimitives.ReadInt32LittleEndian(signal.AsSpan(CodeAt)) == SI_TIMER;

    /// <summary>Of each timer one signal, where the first of it stood. Others that only say that they are a timer's stay as they are.</summary>
    /// <param name="overruns">Of every timer there is, for its own signal.</param>
    public static byte[][] Counted(byte[][] signals, IReadOnlyDictionary<int, long> overruns)
    {
        Dictionary<int, (byte[] Signal, long Overrun)> first = [];
        List<byte[]> kept = [];
        foreach (byte[] signal in signals)
        {
            int timer = BinaryPrimitives.ReadInt32LittleEndian(signal.AsSpan(TimerAt));
            if (!IsTimers(signal) || !overruns.TryGetValue(timer, out long own))
            {
                kept.Add(signal);
                continue;
            }
            long overrun = BinaryPrimitives.ReadInt32LittleEndian(signal.AsSpan(OverrunAt));
            if (overrun == 0) overrun = own;
            if (first.TryGetValue(timer, out (byte[] Signal, long Overrun) earlier))
            {
                first[timer] = (earlier.Signal, earlier.Overrun + overrun + 1);
                continue;
            }
            byte[] whole = [.. signal];
            first[timer] = (whole, overrun);
            kept.Add(whole);
        }
        foreach ((byte[] signal, long overrun) in first.Values) BinaryPrimitives.WriteInt32LittleEndian(signal.AsSpan(OverrunAt), (int)Math.Clamp(overrun, 0, int.MaxValue));
        return [.. kept];
    }

    private static Dictionary<int, long> Of(int tid)
    {
        Dictionary<int, long> overruns = [];
        if (!KernelSight.Has("signal_struct", "posix_timers.first") || !KernelSight.Has("k_itimer", "list.next") || KernelSight.TaskOf(tid)?.Pointed("signal", "signal_struct") is not { } signals) return overruns;
        for (ulong at = signals["posix_timers.first"]; at != 0 && overruns.Count < MaxTimers;)
        {
            KernelObject timer = KernelObject.Around("k_itimer", "list", at);
            overruns[(int)timer["it_id"]] = (long)timer["it_overrun"];
            at = timer["list.next"];
        }
        return overruns;
    }
}
