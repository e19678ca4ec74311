using Stasis.Linux;
using Stasis.Remote;
using Stasis.State.Descriptors.IoUring;
using Stasis.State.Memory;

namespace Stasis.State.Seccomp;

/// <summary>
/// The filters of a task whose tracer may not set them aside: what it does for us they judge, so they are asked before, by <see cref="FilterVerdict"/>. Nor
/// may that tracer read them; they are read where the kernel has them (kernel/seccomp.c).
/// </summary>
/// <param name="tid">The task; 0 for one of an image.</param>
public sealed class FilterJudge(IReadOnlyList<SeccompFilterRecord> filters, int tid = 0) : ICallJudge
{
    private const int MostFilters = SeccompRecord.MaxFilters;

    // Calls that every errand takes (TracedMachine, TraceCalls), at the checkpoint and at a restart: an arena that can be written and run is mapped.
    private static readonly (Syscall Call, ulong[] Arguments)[] s_needed =
        [(Syscall.mmap, [0, 4096, 7, 0x22, ulong.MaxValue, 0]), (Syscall.munmap, [0, 4096, 0, 0, 0, 0]), (Syscall.tgkill, new ulong[6]), (Syscall.getpid, new ulong[6]), (Syscall.rt_sigreturn, new ulong[6])];

    /// <summary>Errors: <see cref="KernelRefusal"/> where they can't be looked at (EOPNOTSUPP), or the task is gone (ESRCH).</summary>
    public static FilterJudge Of(int tid)
    {
        KernelObject task = KernelSight.TaskOf(tid) ?? throw new KernelRefusal($"look at the seccomp filters of thread {tid}", Errno.ESRCH);
        List<SeccompFilterRecord> filters = [];
        for (KernelObject? at = task.Pointed("seccomp.filter", "seccomp_filter"); at is { } filter && filters.Count < MostFilters; at = filter.Pointed("prev", "seccomp_filter"))
        {
            // As the program gave it (sock_fprog_kern); the kernel keeps that for us (CONFIG_CHECKPOINT_RESTORE).
            KernelObject given = filter.Pointed("prog", "bpf_prog")?.Pointed("orig_prog", "sock_fprog_kern") ?? throw new KernelRefusal("look at a seccomp filter", Errno.EOPNOTSUPP);
            byte[] program = new byte[(int)given["len"] * SeccompFilterRecord.InstructionSize];
            if (!KernelSight.Read(given["filter"], program)) throw new KernelRefusal("look at a seccomp filter", Errno.EFAULT);
            filters.Add(new SeccompFilterRecord((filter["log"] & 1) != 0 ? SeccompFilterRecord.FlagLog : 0, program));
        }
        filters.Reverse(); // the one installed first first
        return new FilterJudge(filters, tid);
    }

    public (byte[] Program, ulong Flags)? Filter(int place) => place < filters.Count ? (filters[place].Program, filters[place].Flags) : null;

    public bool Allows(int number, ulong instructionPointer, ReadOnlySpan<ulong> arguments)
    {
        foreach (SeccompFilterRecord filter in filters)
            if (!FilterVerdict.Allows(filter, number, FilterVerdict.ArchitectureX64, instructionPointer, arguments)) return false;
        return true;
    }

    public bool NeedNotBeAsked(int number, ulong instructionPointer, ReadOnlySpan<ulong> arguments)
    {
        foreach (SeccompFilterRecord filter in filters)
            if (!FilterVerdict.AllowsOrFails(filter, number, FilterVerdict.ArchitectureX64, instructionPointer, arguments)) return false;
        return HasNothingOf((Syscall)number);
    }

    // What a task may have had before its filters came, and can't be asked for any more: as a container's filter forbids keyctl and io_uring.
    private bool HasNothingOf(Syscall call)
    {
        if (tid == 0 || KernelSight.TaskOf(tid) is not { } task) return false;
        return call switch
        {
            Syscall.keyctl or Syscall.request_key => task.Pointed("cred", "cred") is { } credentials && credentials["thread_keyring"] == 0 && credentials["process_keyring"] == 0,
            Syscall.io_uring_enter => RingSight.RegisteredBy(tid).Count == 0,
            Syscall.modify_ldt => task.Pointed("mm", "mm_struct") is { } memory && memory["context.ldt"] == 0,
            Syscall.pkey_mprotect => task.Pointed("mm", "mm_struct") is { } memory && HasNoKeys(memory["context.pkey_allocation_map"], (short)memory["context.execute_only_pkey"]),
            Syscall.get_mempolicy => task["mempolicy"] == 0 && HasNoPolicies(tid),
            _ => false,
        };
    }

    // Of the keys that are taken, 0 is everybody's, and one may be the kernel's own.
    private static bool HasNoKeys(ulong taken, int ofKernel) => (taken & ~1ul & ~(ofKernel > 0 ? 1ul << ofKernel : 0)) == 0;

    private static bool HasNoPolicies(int tid)
    {
        bool any = false;
        return !Files.ReadLines($"/proc/{tid}/numa_maps", line => any |= NumaNodes.WithPolicy(line) is not null).Failed && !any;
    }

    /// <summary>A call that is left at its entry is judged as number -1; with an error nothing is lost, as nobody sees it.</summary>
    public bool AllowsSkipping(ulong instructionPointer, ReadOnlySpan<ulong> arguments)
    {
        foreach (SeccompFilterRecord filter in filters)
            if (!FilterVerdict.AllowsOrFails(filter, -1, FilterVerdict.ArchitectureX64, instructionPointer, arguments)) return false;
        return true;
    }

    /// <summary>Those of the calls that are always needed which they do not let through, for people; null when they let all through.</summary>
    public string? Forbidden()
    {
        string[] forbidden = [.. s_needed.Where(needed => !Allows((int)needed.Call, 0, needed.Arguments)).Select(needed => needed.Call.ToString())];
        return forbidden.Length == 0 ? null : string.Join(", ", forbidden);
    }
}
