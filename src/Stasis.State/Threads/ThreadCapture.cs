using System.Globalization;
using System.Runtime.InteropServices;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State.Descriptors.IoUring;
using Stasis.State.Seccomp;

namespace Stasis.State.Threads;

/// <summary>Reads one frozen task: from outside what can be, by a few calls on a tape the rest.</summary>
public sealed class ThreadCapture
{
    private const int PR_GET_PDEATHSIG = 2, PR_GET_SECUREBITS = 27, PR_GET_TID_ADDRESS = 40;
    private readonly HeldTask _tracee;
    private readonly Func<int, int> _insideId;
    private TapeData? _altStack, _deathSignal, _tidAddress;
    private TapeCall? _securebits;
    private ThreadSettingsCapture? _settings;
    private TaskProbes? _probes;
    private SessionKeyringProbe? _sessionKeyring;
    private RingsOfTask? _rings;

    public ThreadCapture(HeldTask tracee, Func<int, int> insideId) => (_tracee, _insideId) = (tracee, insideId);

    /// <summary>What only the task itself can tell.</summary>
    /// <param name="uid">The real user id of its process.</param>
    public void Ask(Tape tape, uint uid)
    {
        _altStack = tape.Reserve(24);
        _deathSignal = tape.Reserve(8);
        _tidAddress = tape.Reserve(8);
        tape.Call("sigaltstack", Syscall.sigaltstack, 0, _altStack);
        tape.Call("prctl(PR_GET_PDEATHSIG)", Syscall.prctl, PR_GET_PDEATHSIG, _deathSignal);
        tape.Call("prctl(PR_GET_TID_ADDRESS)", Syscall.prctl, PR_GET_TID_ADDRESS, _tidAddress);
        _settings = new ThreadSettingsCapture(tape);
        _probes = new TaskProbes(tape);
        _sessionKeyring = new SessionKeyringProbe(tape, uid);
        _rings = new RingsOfTask(tape);
        _securebits = tape.Call("prctl(PR_GET_SECUREBITS)", Syscall.prctl, PR_GET_SECUREBITS);
    }

    /// <summary>After the tape has run: what was found that can't be carried.</summary>
    public (string Why, string Advice)? Judge(ThreadRecord record) => _probes!.Judge(record.Credentials) ?? _rings!.Judge(_tracee.Tgid, _tracee.Tid);

    /// <summary>After the tape has run: what will not come back, and how it will be; null when nothing was found.</summary>
    public (string Object, string What)? Lost => _sessionKeyring?.Keys(_tracee.Tid) is > 0 and var keys ? ($"its session keyring with {keys} {(keys == 1 ? "key" : "keys")}", "it will be that of the restart, without them") : null;

    /// <summary>The record, after the tape has run. Errors: <see cref="TargetGone"/>, <see cref="KernelRefusal"/>.</summary>
    public ThreadRecord Take(SeccompCapture seccomp)
    {
        int tid = _tracee.Tid;
        string directory = $"/proc/{_tracee.Tgid}/task/{tid}";
        ProcStatus status = ProcStatus.Read(directory) ?? throw new TargetGone(tid);
        TaskState state = _tracee.ReadState();
        RseqConfiguration rseq = state.Rseq;
        UserRegisters registers = state.Registers;
        if (rseq.rseq_abi_pointer != 0) registers = AbortRseq(registers, rseq);
        UserRegisters forImage = ForImage(registers);
        return new ThreadRecord
        {
            Tid = _insideId(tid),
            Comm = Files.ReadText($"{directory}/comm").Text.TrimEnd('\n'),
            Registers = RegistersRecord.From(forImage),
            WaitLeft = SyscallRestart.NeedsRestartBlock(registers) ? SleepSight.Left(tid, forImage) : null,
            ExtendedState = state.ExtendedState,
            SignalMask = state.SignalMask,
            PendingSignals = state.OwnSignals,
            AlternateStack = new AlternateStack(_altStack!.Read<ulong>(), _altStack.Read<int>(8), _altStack.Read<ulong>(16)),
            Rseq = new RseqRecord(rseq.rseq_abi_pointer, rseq.rseq_abi_size, rseq.signature),
            RobustList = RobustList(tid, out ulong length),
            RobustListLength = length,
            ClearTidAddress = _tidAddress!.Read<ulong>(),
            Scheduling = Scheduling(tid),
            Affinity = Affinity(tid),
            IoPriority = (int)Kernel.Call(Syscall.ioprio_get, 1, tid).OrThrow("ioprio_get", _tracee.Whose),
            TimerSlackNanoseconds = ulong.TryParse(Files.ReadText($"/proc/{tid}/timerslack_ns").Text.Trim(), CultureInfo.InvariantCulture, out ulong slack) ? slack : 50_000,
            Credentials = Credentials(status, (int)_securebits!.Result.Value),
            ParentDeathSignal = _deathSignal!.Read<int>(),
            Trace = state.Trace is { } trace ? TraceRecord.From(trace, _insideId) : null,
            Audit = AuditRecord.Of(directory),
            Segments = [.. state.Segments.Select(ThreadAreaRecord.From)],
            Dispatch = DispatchRecord.From(state.Dispatch),
            Settings = _settings!.Take(ProcStat.ReadTask(_tracee.Tgid, tid)),
            Seccomp = seccomp.Take(_tracee, status.Number("Seccomp")),
        };
    }

    private UserRegisters ForImage(UserRegisters registers)
    {
        if (!SyscallRestart.NeedsRestartBlock(registers)) return registers;
        return SyscallRestart.ForImage(registers, LiveMachine.CodeBefore(_tracee, registers), LiveMachine.MemoryOf(_tracee), calls => SleepSight.Choose(_tracee.Tid, registers, calls))
            ?? throw new TargetUnruly($"{_tracee.Whose} is in a system call that was interrupted before and that can't be told any more; try again in a moment");
    }

    /// <summary>A task stopped inside a restartable sequence goes on at its abort handler, as the kernel does after every preemption (include/uapi/linux/rseq.h).</summary>
    private UserRegisters AbortRseq(UserRegisters registers, RseqConfiguration rseq)
    {
        Span<byte> pointer = stackalloc byte[8], section = stackalloc byte[32];
        if (ProcessMemory.ReadExactly(_tracee.Tid, rseq.rseq_abi_pointer + 8, pointer).Failed) return registers;
        ulong address = MemoryMarshal.Read<ulong>(pointer);
        if (address == 0 || ProcessMemory.ReadExactly(_tracee.Tid, address, section).Failed) return registers;
        ulong start = MemoryMarshal.Read<ulong>(section[8..]), length = MemoryMarshal.Read<ulong>(section[16..]), abort = MemoryMarshal.Read<ulong>(section[24..]);
        if (registers.rip - start < length) registers.rip = abort;
        return registers;
    }

    private ulong RobustList(int tid, out ulong length)
    {
        (SysResult result, ulong head, ulong size) = TaskQueries.RobustList(tid);
        result.OrThrow("get_robust_list", _tracee.Whose);
        length = size;
        return head;
    }

    private SchedulingRecord Scheduling(int tid)
    {
        byte[] attributes = new byte[56];
        TaskQueries.SchedulingAttributes(tid, attributes).OrThrow("sched_getattr", _tracee.Whose);
        ReadOnlySpan<byte> a = attributes;
        // struct sched_attr: size 4, policy 4, flags 8, nice 4, priority 4, runtime 8, deadline 8, period 8, util_min 4, util_max 4
        return new SchedulingRecord(MemoryMarshal.Read<uint>(a[4..]), MemoryMarshal.Read<ulong>(a[8..]), MemoryMarshal.Read<int>(a[16..]), MemoryMarshal.Read<uint>(a[20..]),
            MemoryMarshal.Read<ulong>(a[24..]), MemoryMarshal.Read<ulong>(a[32..]), MemoryMarshal.Read<ulong>(a[40..]),
            MemoryMarshal.Read<uint>(a[48..]), MemoryMarshal.Read<uint>(a[52..]));
    }

    private byte[] Affinity(int tid)
    {
        (SysResult result, byte[] mask) = TaskQueries.Affinity(tid);
        result.OrThrow("sched_getaffinity", _tracee.Whose);
        return mask;
    }

    public static CredentialsRecord Credentials(ProcStatus status, int securebits) => new(
        status.Numbers("Uid"), status.Numbers("Gid"), status.Numbers("Groups"), status.Hex("CapInh"), status.Hex("CapPrm"), status.Hex("CapEff"),
        status.Hex("CapBnd"), status.Hex("CapAmb"), securebits, status.Number("NoNewPrivs") == 1);
}
