using Stasis.State.AsynchronousIo;
using Stasis.State.Memory;
using Stasis.State.Seccomp;
using Stasis.State.Threads;

namespace Stasis.State.Processes;

/// <summary>struct kernel_sigaction of one signal (64 bits each): handler, flags, restorer, mask.</summary>
public sealed record SignalActionRecord(int Signal, ulong Handler, ulong Flags, ulong Restorer, ulong Mask);

/// <summary>struct itimerval, in microseconds (man 2 setitimer).</summary>
public sealed record IntervalTimerRecord(int Which, long IntervalMicroseconds, long RemainingMicroseconds);

/// <summary>A POSIX timer (man 2 timer_create). Notify is sigev_notify; Target the thread inside the pid namespace for SIGEV_THREAD_ID. Times in nanoseconds.</summary>
public sealed record PosixTimerRecord(int Id, int Clock, int Notify, int Signal, ulong Value, int Target, long IntervalNanoseconds, long RemainingNanoseconds, int Overrun);

public sealed record LimitRecord(int Resource, ulong Soft, ulong Hard);

/// <summary>A directory that a process stands in.</summary>
/// <param name="Deleted">The directory is removed; it is made, entered and removed again.</param>
public sealed record PlaceRecord(string Path, bool Deleted)
{
    /// <summary>The same place under another name, where a path has one.</summary>
    public PlaceRecord At(Func<string, string?> move) => !Deleted && move(Path) is { } path ? this with { Path = path } : this;
}

/// <summary>Where a thread stands that has parted from its process (man 2 unshare, CLONE_FS).</summary>
public sealed record PlacesRecord(PlaceRecord WorkingDirectory, PlaceRecord Root, int Umask)
{
    public PlacesRecord At(Func<string, string?> move) => this with { WorkingDirectory = WorkingDirectory.At(move), Root = Root.At(move) };
}

/// <summary>The fields of the mm that ps and /proc show (prctl PR_SET_MM_MAP, struct prctl_mm_map).</summary>
public sealed record MemoryFields(ulong StartCode, ulong EndCode, ulong StartData, ulong EndData, ulong StartBrk, ulong Brk, ulong StartStack,
    ulong ArgStart, ulong ArgEnd, ulong EnvStart, ulong EnvEnd, byte[] Auxv);

/// <summary>One process of the tree. Ids are those inside the tree's pid namespace.</summary>
public sealed record ProcessRecord
{
    public required int Pid { get; init; }

    /// <summary>0 for the root of the tree.</summary>
    public required int Parent { get; init; }
    public required int Session { get; init; }
    public required int Group { get; init; }
    public required string Comm { get; init; }

    /// <summary>The signal its parent gets when it ends.</summary>
    public required int ExitSignal { get; init; }

    /// <summary>The status that its parent will wait for, when it is a zombie; then nothing below is filled in.</summary>
    public int? ZombieStatus { get; init; }

    /// <summary>It is the command by which the program asked for this checkpoint; see <see cref="Processes.Requester"/>.</summary>
    public bool Requester { get; init; }

    /// <summary>The status that its main thread has ended with while others go on; then it is not among the threads.</summary>
    public int? LeaderStatus { get; init; }

    /// <summary>The signal of its job-control stop; 0 when it runs.</summary>
    public int StopSignal { get; init; }

    /// <summary>Its parent has waited for that stop already.</summary>
    public bool StopReported { get; init; }
    public ThreadRecord[] Threads { get; init; } = [];
    public byte[][] SharedPendingSignals { get; init; } = [];
    public SignalActionRecord[] SignalActions { get; init; } = [];
    public IntervalTimerRecord[] IntervalTimers { get; init; } = [];
    public SystemV.UndoRecord[] SemaphoreUndo { get; init; } = [];
    public PosixTimerRecord[] PosixTimers { get; init; } = [];
    public LimitRecord[] Limits { get; init; } = [];
    public PlaceRecord? WorkingDirectory { get; init; }
    public PlaceRecord? Root { get; init; }
    public int Umask { get; init; }
    public int OomScoreAdjustment { get; init; }
    public uint Personality { get; init; }

    /// <summary>It runs a program of 32 bits (i386).</summary>
    public bool ThirtyTwoBit { get; init; }
    public int Dumpable { get; init; }
    public bool ChildSubreaper { get; init; }

    /// <summary>PR_GET_THP_DISABLE: 0 no, 1 yes, more with flags.</summary>
    public int TransparentHugePagesDisabled { get; init; }

    /// <summary>PR_GET_MDWE: memory that is writable never becomes executable.</summary>
    public int MemoryDenyWriteExecute { get; init; }

    /// <summary>PR_GET_MEMORY_MERGE: all of its memory may be merged with equal pages.</summary>
    public bool MergesMemory { get; init; }

    /// <summary>PR_TIMER_CREATE_RESTORE_IDS: its own timer_create takes the ids it is given.</summary>
    public bool ChoosesTimerIds { get; init; }

    /// <summary>PR_FUTEX_HASH: slots of its own table of futexes, 0 when it uses that of all; null when the kernel chose.</summary>
    public int? FutexHashSlots { get; init; }

    /// <summary>A bit for each memory protection key that it has allocated, from 1.</summary>
    public int ProtectionKeys { get; init; }

    /// <summary>ARCH_GET_XCOMP_PERM: it may use the tile registers (AMX).</summary>
    public bool AmxPermitted { get; init; }

    /// <summary>The nice value of the autogroup of a session leader.</summary>
    public int AutogroupNice { get; init; }
    public int CoreDumpFilter { get; init; }
    public int MembarrierRegistrations { get; init; }

    /// <summary>mlockall(MCL_FUTURE): 0 no, 1 yes, 2 yes with MCL_ONFAULT.</summary>
    public int LocksFutureMemory { get; init; }

    /// <summary>Which descriptor table it uses: processes with the same number share one (CLONE_FILES).</summary>
    public int DescriptorTable { get; init; }
    /// <summary>The process before it in the tree whose memory it uses too (CLONE_VM without being a thread); 0 when it has its own. Then it has no mappings here.</summary>
    public int SharesMemoryWith { get; init; }

    /// <summary>The same of signal handlers (CLONE_SIGHAND).</summary>
    public int SharesHandlersWith { get; init; }

    /// <summary>The same of working directory, root and umask (CLONE_FS).</summary>
    public int SharesPlacesWith { get; init; }
    public MemoryFields? MemoryFields { get; init; }

    /// <summary>The id of the object behind /proc/PID/exe.</summary>
    public int Executable { get; init; }
    public MappingRecord[] Mappings { get; init; } = [];

    /// <summary>Contexts of asynchronous I/O, each with a mapping of that kind.</summary>
    public AsyncContextRecord[] AsyncContexts { get; init; } = [];
}

public sealed record DescriptorEntry(int Number, int Description, bool CloseOnExec);
public sealed record DescriptorTable(int Id, DescriptorEntry[] Entries)
{
    public Descriptors.PosixLock[] Locks { get; init; } = [];
}

/// <summary>tree.json: the processes, root first, every parent before its children.</summary>
public sealed record TreeRecord
{
    public required ProcessRecord[] Processes { get; init; }

    /// <summary>Session and group of the root that came from outside the tree (a shell's), 0 when they are its own.</summary>
    public required int OutsideSession { get; init; }
    public required int OutsideGroup { get; init; }

    /// <summary>The tree lived in a pid namespace of its own, made by `stasis run` or `restart --new-pid-namespace`.</summary>
    public required bool OwnPidNamespace { get; init; }
    public required DescriptorTable[] DescriptorTables { get; init; }

    /// <summary>Every seccomp filter once; the threads tell which of them they have.</summary>
    public SeccompFilterRecord[] SeccompFilters { get; init; } = [];

    /// <summary>The descriptor tables that a process and its threads use, the process's first.</summary>
    public IEnumerable<DescriptorTable> TablesOf(ProcessRecord process) =>
        process.Threads.Select(thread => thread.OwnTable).Where(id => id != 0).Prepend(process.DescriptorTable).Distinct().Select(id => DescriptorTables.First(table => table.Id == id));

    /// <summary>The root leads a session whose controlling terminal is outside the tree (an xterm's), and which group had it in the foreground.</summary>
    public bool RootHasOuterTerminal { get; init; }
    public int ForegroundGroup { get; init; }
}
