using Stasis.Linux;

namespace Stasis.Remote;

/// <summary>The stops that a tracer can find its tracee in (man 2 ptrace, "Stopped states"), as far as they can be made again.</summary>
public enum TraceStop
{
    /// <summary>Signal-delivery-stop; breakpoints are of this kind.</summary>
    Signal,
    SyscallEntry,
    SyscallExit,

    /// <summary>The stop of PTRACE_INTERRUPT.</summary>
    Interrupt,
}

/// <summary>Whether a task ran before we had it halted, and how it is let go again.</summary>
public enum TraceGo
{
    /// <summary>It stands in a stop of its tracer's.</summary>
    Stays,

    /// <summary>It ran, or waited in a system call whose entry its tracer does not stop at.</summary>
    Goes,

    /// <summary>It waited in a system call, and the next stop its tracer knows of is that call's exit.</summary>
    GoesInCall,
}

/// <summary>How a tracer of the tree holds a task.</summary>
/// <param name="Tracer">The thread that attached, as we see it: ptrace works from no other.</param>
/// <param name="Options">PTRACE_O_*.</param>
/// <param name="StopsAtSyscalls">It was let go on last by PTRACE_SYSCALL.</param>
/// <param name="Reported">The tracer has waited for the stop already.</param>
/// <param name="SignalInformation">The siginfo_t of the stop, 128 bytes.</param>
/// <param name="DebugRegisters">Hardware breakpoints: debug registers 0 to 3, 6 and 7.</param>
public sealed record TraceState(int Tracer, bool Seized, uint Options, bool StopsAtSyscalls, TraceStop Stop, bool Reported, byte[] SignalInformation, ulong[] DebugRegisters)
{
    public TraceGo Go { get; init; }

    /// <summary>Its tracer has asked for one more stop (PTRACE_INTERRUPT), which comes when it is let go on from this one.</summary>
    public bool StopAsked { get; init; }

    /// <summary>How a stop of ours has to look for a task to be let go from it; its tracer never hears of it.</summary>
    public TraceState BeforeGoing() => Go switch
    {
        TraceGo.GoesInCall => this with { Stop = TraceStop.SyscallEntry, Reported = true },
        TraceGo.Goes => this with { Reported = true },
        _ => this,
    };

    public const uint AllOptions = 0x3000ff;

    /// <summary>Which members of u_debugreg are kept, in this order: 4 and 5 do not exist.</summary>
    public static readonly int[] DebugRegisterNumbers = [0, 1, 2, 3, 6, 7];

    /// <summary>offsetof(struct user, u_debugreg) (arch/x86/include/asm/user_64.h).</summary>
    public const int DebugRegisterOffset = 848;

    public int StopSignal => SignalInformation.Length < 4 ? 0 : BitConverter.ToInt32(SignalInformation);

    /// <summary>Which stop a task in state t is in; null and why when it is one that can't be made again.</summary>
    public static (TraceStop? Stop, string Why) Classify(TraceSight sight)
    {
        const ulong JOBCTL_LISTENING = 1 << 22; // include/linux/sched/jobctl.h
        const int EntryMessage = 1, ExitMessage = 2; // PTRACE_EVENTMSG_SYSCALL_ENTRY, _EXIT
        if (!sight.HasSignalInformation || (sight.JobControl & JOBCTL_LISTENING) != 0) return (null, "it was stopped by job control while it is traced, which is not carried yet");
        int code = sight.Code & 0x7f, ptraceEvent = sight.Code >> 8 & 0xff;
        bool trap = sight.Signal == Signals.SIGTRAP && sight.Code is > 0 and < 0x10000;
        if (trap && ptraceEvent == 0 && code == Signals.SIGTRAP && sight.EventMessage is EntryMessage or ExitMessage)
            return (sight.EventMessage == EntryMessage ? TraceStop.SyscallEntry : TraceStop.SyscallExit, "");
        if (ptraceEvent == PtraceConstants.EVENT_STOP && sight.Code is > 0 and < 0x10000)
            return code == Signals.SIGTRAP ? (TraceStop.Interrupt, "") : (null, "it was stopped by job control while it is traced, which is not carried yet");
        if (trap && ptraceEvent is > 0 and < 8) return (null, "it stands at a fork, exec or exit, or at a call of its seccomp filter, that its tracer is just being told of, which is not carried yet");
        return (TraceStop.Signal, "");
    }
}
