using Stasis.Linux;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State.Processes;
using Stasis.State.Seccomp;

namespace Stasis.State.Threads;

/// <summary>General registers under their kernel names (struct user_regs_struct).</summary>
public sealed record RegistersRecord(ulong[] Values)
{
    public const int Count = 27;
    public static RegistersRecord From(in UserRegisters r) => new([r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx,
        r.rsi, r.rdi, r.orig_rax, r.rip, r.cs, r.eflags, r.rsp, r.ss, r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs]);

    /// <summary>It was in 32-bit code: numbers of system calls are others there.</summary>
    public bool IsInCompatCode() => Compat.IsIn(ToRegisters());

    public UserRegisters ToRegisters() => new()
    {
        r15 = Values[0],
        r14 = Values[1],
        r13 = Values[2],
        r12 = Values[3],
        rbp = Values[4],
        rbx = Values[5],
        r11 = Values[6],
        r10 = Values[7],
        r9 = Values[8],
        r8 = Values[9],
        rax = Values[10],
        rcx = Values[11],
        rdx = Values[12],
        rsi = Values[13],
        rdi = Values[14],
        orig_rax = Values[15],
        rip = Values[16],
        cs = Values[17],
        eflags = Values[18],
        rsp = Values[19],
        ss = Values[20],
        fs_base = Values[21],
        gs_base = Values[22],
        ds = Values[23],
        es = Values[24],
        fs = Values[25],
        gs = Values[26],
    };
}

/// <summary>struct user_desc: an entry of the GDT by its number, with its bit fields, the lowest first.</summary>
public sealed record ThreadAreaRecord(uint Number, uint Base, uint Limit, uint Flags)
{
    public static ThreadAreaRecord From(UserDescriptor d) => new(d.entry_number, d.base_addr, d.limit, d.flags);
    public UserDescriptor ToDescriptor() => new() { entry_number = Number, base_addr = Base, limit = Limit, flags = Flags };
    public bool IsWellFormed() => Number is >= UserDescriptor.First and <= UserDescriptor.Last && Flags < 1 << 7;
}

/// <summary>stack_t (man 2 sigaltstack).</summary>
public sealed record AlternateStack(ulong Address, int Flags, ulong Length);

/// <summary>struct sched_attr (man 2 sched_setattr); times in nanoseconds. Both utilizations are 0 in a kernel that clamps none.</summary>
public sealed record SchedulingRecord(uint Policy, ulong Flags, int Nice, uint Priority, ulong Runtime, ulong Deadline, ulong Period, uint UtilizationMin, uint UtilizationMax);

/// <summary>struct rseq's registration (ptrace PTRACE_GET_RSEQ_CONFIGURATION); Address 0 when none.</summary>
public sealed record RseqRecord(ulong Address, uint Length, uint Signature);

/// <summary>Credentials of a task (man 7 credentials, capabilities). Ids are real, effective, saved, filesystem.</summary>
public sealed record CredentialsRecord(uint[] Uids, uint[] Gids, uint[] Groups, ulong Inheritable, ulong Permitted, ulong Effective, ulong Bounding, ulong Ambient,
    int Securebits, bool NoNewPrivileges)
{
    public bool SameAs(CredentialsRecord other) => Uids.SequenceEqual(other.Uids) && Gids.SequenceEqual(other.Gids) && Groups.SequenceEqual(other.Groups)
        && (Inheritable, Permitted, Effective, Bounding, Ambient, Securebits) == (other.Inheritable, other.Permitted, other.Effective, other.Bounding, other.Ambient, other.Securebits);
}

/// <summary>How a tracer of the tree holds a task; see <see cref="TraceState"/>. Tracer is the thread that attached, by its id inside.</summary>
public sealed record TraceRecord(int Tracer, bool Seized, uint Options, bool StopsAtSyscalls, TraceStop Stop, bool Reported, byte[] SignalInformation, ulong[] DebugRegisters)
{
    public TraceGo Go { get; init; }
    public bool StopAsked { get; init; }

    public static TraceRecord From(TraceState state, Func<int, int> insideId) => new(insideId(state.Tracer), state.Seized, state.Options, state.StopsAtSyscalls, state.Stop,
        state.Reported, state.SignalInformation, state.DebugRegisters)
    { Go = state.Go, StopAsked = state.StopAsked };

    public TraceState ToState() => new(Tracer, Seized, Options, StopsAtSyscalls, Stop, Reported, SignalInformation, DebugRegisters) { Go = Go, StopAsked = StopAsked };
}

/// <summary>One task: a thread, or the only one of its process. Ids are those inside the tree's pid namespace.</summary>
public sealed record ThreadRecord
{
    public required int Tid { get; init; }
    public required string Comm { get; init; }
    public required RegistersRecord Registers { get; init; }

    /// <summary>The xsave area in its standard format.</summary>
    public required byte[] ExtendedState { get; init; }

    /// <summary>Whether matrices are in its tile registers (AMX, XFEATURE_XTILEDATA).</summary>
    public bool HasTiles() => (ExtendedLayout.InUse(ExtendedState) >> 18 & 1) != 0;
    public required ulong SignalMask { get; init; }

    /// <summary>siginfo_t (128 bytes each) of the signals waiting for this thread alone, in their order.</summary>
    public required byte[][] PendingSignals { get; init; }
    public required AlternateStack AlternateStack { get; init; }
    public required RseqRecord Rseq { get; init; }
    public required ulong RobustList { get; init; }
    public required ulong RobustListLength { get; init; }
    public required ulong ClearTidAddress { get; init; }
    public required SchedulingRecord Scheduling { get; init; }
    public required byte[] Affinity { get; init; }
    public required int IoPriority { get; init; }
    public required ulong TimerSlackNanoseconds { get; init; }
    public required CredentialsRecord Credentials { get; init; }
    public required int ParentDeathSignal { get; init; }

    /// <summary>null when nobody in the tree traces it.</summary>
    public TraceRecord? Trace { get; init; }

    /// <summary>Where it stands, when it does not share that with its process.</summary>
    public PlacesRecord? OwnPlaces { get; init; }

    /// <summary>The thread before it with which it shares such places; 0 for none.</summary>
    public int SharesPlacesWith { get; init; }

    /// <summary>Its descriptor table, when that is not its process's; else 0.</summary>
    public int OwnTable { get; init; }

    /// <summary>The nanoseconds left of the wait that it was in, where only the kernel knew them.</summary>
    public long? WaitLeft { get; init; }

    /// <summary>null when its system calls are the kernel's alone.</summary>
    public DispatchRecord? Dispatch { get; init; }

    /// <summary>Segments for thread-local data (set_thread_area).</summary>
    public ThreadAreaRecord[] Segments { get; init; } = [];

    /// <summary>The list of robust futexes that was set through the 32-bit interface.</summary>
    public ulong CompatRobustList { get; init; }
    public ulong CompatRobustListLength { get; init; }
    public AuditRecord Audit { get; init; } = AuditRecord.None;

    /// <summary>personality(2), where that is not the one of its process.</summary>
    public uint? OwnPersonality { get; init; }
    public ThreadSettingsRecord Settings { get; init; } = ThreadSettingsRecord.Default;
    public SeccompRecord Seccomp { get; init; } = SeccompRecord.None;
}
