using Stasis.Linux;

namespace Stasis.Remote;

/// <summary>What ptrace tells about a stopped task. Signals are siginfo_t of 128 bytes each, in the order of their queue.</summary>
public sealed record TaskState(UserRegisters Registers, byte[] ExtendedState, ulong SignalMask, byte[][] OwnSignals, byte[][] SharedSignals, RseqConfiguration Rseq)
{
    /// <summary>How its tracer of the tree holds it; null when nobody but us does.</summary>
    public TraceState? Trace { get; init; }
    public SyscallDispatch Dispatch { get; init; }

    /// <summary>Segments for thread-local data (set_thread_area), which 32-bit programs have.</summary>
    public UserDescriptor[] Segments { get; init; } = [];
}

/// <summary>A task that can't run while we look at it: stopped by us, or by a tracer of the tree that is itself stopped by us.</summary>
public abstract class HeldTask(int tid, int tgid)
{
    public int Tid { get; } = tid;
    public int Tgid { get; } = tgid;
    public string Whose => Tid == Tgid ? $"process {Tid}" : $"thread {Tid} of process {Tgid}";

    /// <summary>The stop signal of the job-control stop the task was in when it was frozen, 0 when it ran.</summary>
    public int GroupStopSignal { get; protected set; }

    /// <summary>All that ptrace tells. Errors: <see cref="TargetGone"/>, <see cref="KernelRefusal"/>.</summary>
    public abstract TaskState ReadState();

    /// <summary>A seccomp filter, the one installed first at 0: its instructions (8 bytes each), SECCOMP_FILTER_FLAG_*; null behind the last. Errors: <see cref="KernelRefusal"/>.</summary>
    public abstract (byte[] Program, ulong Flags)? ReadFilter(int place);

    /// <summary>BPF_MAXINSNS instructions.</summary>
    protected const int LongestFilter = 4096 * FilterInstruction, FilterInstruction = 8;
}

/// <summary>A process that runs tapes in its tasks. Disposing it leaves nothing of ours behind.</summary>
public abstract class TapeMachine : IDisposable
{
    /// <summary>Where the arena lies in the process.</summary>
    public abstract ulong ArenaAddress { get; }

    /// <summary>Whether arenas of earlier runs that were killed have been unmapped: the mappings have changed then.</summary>
    public bool RemovedForgotten { get; protected set; }

    /// <summary>Runs one tape in each task. Every tape's results are there afterwards.</summary>
    public abstract void Run(IReadOnlyList<(HeldTask Task, Tape Tape)> work);

    public void Run(HeldTask task, Tape tape) => Run([(task, tape)]);

    public abstract void Dispose();
}
