using System.Numerics;
using Stasis.Remote;
using Stasis.Linux;

namespace Stasis.State.Processes;

/// <summary>
/// How many slots the process's own table of futexes has (prctl PR_FUTEX_HASH, Linux 6.16), when the program has chosen it: what the kernel
/// chooses by the number of threads and CPUs, it chooses again.
/// </summary>
public static class FutexHash
{
    private const int PR_FUTEX_HASH = 78, PR_FUTEX_HASH_SET_SLOTS = 1, PR_FUTEX_HASH_GET_SLOTS = 2;
    private const int FewestByKernel = 16, SlotsForThread = 4, MostSlots = 1 << 24;

    public static TapeCall Ask(Tape tape) => tape.Try("prctl(PR_FUTEX_HASH_GET_SLOTS)", Syscall.prctl, PR_FUTEX_HASH, PR_FUTEX_HASH_GET_SLOTS, 0, 0, 0);

    /// <summary>After the tape has run. A process that never had threads has 0, as has one that uses the table of all (and never an own one again).</summary>
    public static int? Told(TapeCall asked, int threads)
    {
        if (asked.Result.Failed || asked.Result.Value is < 0 or > MostSlots) return null;
        int slots = (int)asked.Result.Value;
        int mostByKernel = Math.Max(FewestByKernel, (int)BitOperations.RoundUpToPowerOf2((uint)(SlotsForThread * Environment.ProcessorCount)));
        bool chosen = slots == 0 ? threads > 1 : slots is < FewestByKernel || slots > mostByKernel;
        return chosen ? slots : null;
    }

    public static bool WellFormed(int? slots) => slots is null or 0 || slots is > 1 and <= MostSlots && BitOperations.IsPow2(slots.Value);

    /// <summary>After the threads are made. A kernel that does not know it does without: nothing but speed depends on it.</summary>
    public static void Set(Tape tape, int? slots)
    {
        if (slots is { } number) tape.Try("prctl(PR_FUTEX_HASH_SET_SLOTS)", Syscall.prctl, PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS, number, 0, 0);
    }
}
