using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;

namespace Stasis.State.Threads;

/// <summary>The NUMA policy of a task (man 2 set_mempolicy): mode with its flags, and a bit for each node.</summary>
public sealed record MemoryPolicyRecord(int Mode, byte[] Nodes)
{
    public bool WellFormed => Nodes is { Length: ThreadSettingsRecord.MaxNodes / 8 } && Mode is >= 0 and < 1 << 16;

    public bool SameAs(MemoryPolicyRecord other) => Mode == other.Mode && Nodes.AsSpan().SequenceEqual(other.Nodes);
}

/// <summary>What prctl(2) and arch_prctl(2) set for one task. As the kernel gives a task that never asked for anything, unless said otherwise.</summary>
public sealed record ThreadSettingsRecord
{
    /// <summary>rdtsc ends in SIGSEGV (PR_SET_TSC).</summary>
    public bool TimestampCounterFaults { get; init; }

    /// <summary>cpuid ends in SIGSEGV (ARCH_SET_CPUID).</summary>
    public bool CpuidFaults { get; init; }

    /// <summary>PR_MCE_KILL: 0 late, 1 early, 2 as the host says.</summary>
    public int MachineCheckKill { get; init; } = DefaultMachineCheckKill;
    public bool IoFlusher { get; init; }

    /// <summary>PR_GET_SPECULATION_CTRL of store bypass, indirect branches and the L1D flush; 0 where the kernel knows nothing of it.</summary>
    public int[] Speculation { get; init; } = [];

    /// <summary>null when it is the host's.</summary>
    public MemoryPolicyRecord? MemoryPolicy { get; init; }

    public const int DefaultMachineCheckKill = 2, SpeculationKinds = 3, MaxNodes = 1024;
    public static readonly ThreadSettingsRecord Default = new();

    public bool WellFormed => MachineCheckKill is >= 0 and <= DefaultMachineCheckKill && Speculation.Length is 0 or SpeculationKinds && Speculation.All(value => value is >= 0 and < 64)
        && MemoryPolicy is null or { WellFormed: true };
}

/// <summary>Asks a live task for its settings, which only it can tell.</summary>
public sealed class ThreadSettingsCapture
{
    private const int PR_GET_TSC = 25, PR_MCE_KILL_GET = 34, PR_GET_SPECULATION_CTRL = 52, PR_GET_IO_FLUSHER = 58, ARCH_GET_CPUID = 0x1011;
    private const int PR_TSC_SIGSEGV = 2;
    private readonly TapeData _timestampCounter, _policy, _nodes;
    private readonly TapeCall _machineCheck, _flusher, _cpuid, _policyCall;
    private readonly TapeCall[] _speculation = new TapeCall[ThreadSettingsRecord.SpeculationKinds];

    public ThreadSettingsCapture(Tape tape)
    {
        _timestampCounter = tape.Reserve(8);
        tape.Call("prctl(PR_GET_TSC)", Syscall.prctl, PR_GET_TSC, _timestampCounter);
        _cpuid = tape.Try("arch_prctl(ARCH_GET_CPUID)", Syscall.arch_prctl, ARCH_GET_CPUID, 0);
        _machineCheck = tape.Call("prctl(PR_MCE_KILL_GET)", Syscall.prctl, PR_MCE_KILL_GET, 0, 0, 0, 0);
        // Telling it takes the same right as setting it (CAP_SYS_RESOURCE): see Flusher.
        _flusher = tape.Try("prctl(PR_GET_IO_FLUSHER)", Syscall.prctl, PR_GET_IO_FLUSHER, 0, 0, 0, 0);
        for (int kind = 0; kind < _speculation.Length; kind++) _speculation[kind] = tape.Try("prctl(PR_GET_SPECULATION_CTRL)", Syscall.prctl, PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
        _policy = tape.Reserve(8);
        _nodes = tape.Reserve(ThreadSettingsRecord.MaxNodes / 8);
        // ENOSYS in a kernel without NUMA.
        _policyCall = tape.Try("get_mempolicy", Syscall.get_mempolicy, _policy, _nodes, ThreadSettingsRecord.MaxNodes, 0, 0);
    }

    /// <summary>After the tape has run.</summary>
    public ThreadSettingsRecord Take(ProcStat? stat) => new()
    {
        TimestampCounterFaults = _timestampCounter.Read<int>() == PR_TSC_SIGSEGV,
        CpuidFaults = !_cpuid.Result.Failed && _cpuid.Result.Value == 0,
        MachineCheckKill = (int)_machineCheck.Result.Value,
        IoFlusher = _flusher.Result.Failed ? FlusherFlags(stat) : _flusher.Result.Value == 1,
        Speculation = [.. _speculation.Select(call => call.Result.Failed ? 0 : (int)call.Result.Value)],
        MemoryPolicy = _policyCall.Result.Failed || _policy.Read<int>() == 0 ? null : new MemoryPolicyRecord(_policy.Read<int>(), _nodes.Bytes),
    };

    // PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE (include/linux/sched.h), which nothing else sets together for longer than a call.
    private static bool FlusherFlags(ProcStat? stat)
    {
        const uint Both = 0x00080000 | 0x00100000;
        return stat is not null && (stat.Flags & Both) == Both;
    }
}

/// <summary>Sets a blank task's settings as the record has them; nothing where it has what every task has.</summary>
public static class ThreadSettingsRestore
{
    private const int PR_SET_TSC = 26, PR_MCE_KILL = 33, PR_SET_SPECULATION_CTRL = 53, PR_SET_IO_FLUSHER = 57, ARCH_SET_CPUID = 0x1012;
    private const int PR_TSC_SIGSEGV = 2, PR_MCE_KILL_SET = 1;
    private const int PR_SPEC_PRCTL = 1, PR_SPEC_ENABLE = 2, PR_SPEC_DISABLE = 4, L1dFlush = 2;

    public static void AddCalls(Tape tape, ThreadSettingsRecord settings)
    {
        if (settings.TimestampCounterFaults) tape.Call("prctl(PR_SET_TSC)", Syscall.prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
        if (settings.CpuidFaults) tape.Call("arch_prctl(ARCH_SET_CPUID)", Syscall.arch_prctl, ARCH_SET_CPUID, 0);
        if (settings.MachineCheckKill != ThreadSettingsRecord.DefaultMachineCheckKill)
            tape.Call("prctl(PR_MCE_KILL)", Syscall.prctl, PR_MCE_KILL, PR_MCE_KILL_SET, settings.MachineCheckKill, 0, 0);
        if (settings.IoFlusher) tape.Call("prctl(PR_SET_IO_FLUSHER)", Syscall.prctl, PR_SET_IO_FLUSHER, 1, 0, 0, 0);
        for (int kind = 0; kind < settings.Speculation.Length; kind++)
        {
            int value = settings.Speculation[kind];
            // Off is how the flush begins, on how the others do; without PR_SPEC_PRCTL it is no matter of the task.
            int byDefault = kind == L1dFlush ? PR_SPEC_DISABLE : PR_SPEC_ENABLE;
            if ((value & PR_SPEC_PRCTL) != 0 && (value & ~PR_SPEC_PRCTL) != byDefault)
                tape.Call($"prctl(PR_SET_SPECULATION_CTRL, {kind})", Syscall.prctl, PR_SET_SPECULATION_CTRL, kind, value & ~PR_SPEC_PRCTL, 0, 0);
        }
        if (settings.MemoryPolicy is { } policy)
            tape.Call("set_mempolicy", Syscall.set_mempolicy, policy.Mode, tape.Data(policy.Nodes), ThreadSettingsRecord.MaxNodes);
    }
}
