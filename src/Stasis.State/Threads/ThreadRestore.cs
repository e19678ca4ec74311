using System.Runtime.InteropServices;
using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Threads;

/// <summary>Gives a blank task all that is a task's own. Errors: <see cref="KernelRefusal"/>.</summary>
public static class ThreadRestore
{
    private const int PR_SET_PDEATHSIG = 1, PR_SET_NAME = 15, PR_CAPBSET_DROP = 24, PR_SET_SECUREBITS = 28, PR_SET_TIMERSLACK = 29, PR_SET_NO_NEW_PRIVS = 38,
        PR_CAP_AMBIENT = 47, PR_CAP_AMBIENT_RAISE = 2;
    private const int SECBIT_NO_SETUID_FIXUP = 4, SECBIT_KEEP_CAPS = 16;
    private const int SS_ONSTACK = 1, SS_DISABLE = 2;
    private const ulong KeptFlags = 1 | 2 | 4; // SCHED_FLAG_RESET_ON_FORK, RECLAIM, DL_OVERRUN
    private const ulong ClampFlags = 0x20 | 0x40; // SCHED_FLAG_UTIL_CLAMP_MIN, MAX
    private const uint FullUtilization = 1024;

    /// <summary>Adds everything but credentials and pending signals to the task's tape, and does from outside what can be done there.</summary>
    public static void AddCalls(Tape tape, ThreadRecord thread, BlankTask task)
    {
        tape.Call("prctl(PR_SET_NAME)", Syscall.prctl, PR_SET_NAME, tape.Text(thread.Comm));
        if ((thread.AlternateStack.Flags & SS_DISABLE) == 0 && thread.AlternateStack.Length != 0)
        {
            AlternateStack stack = thread.AlternateStack;
            tape.Call("sigaltstack", Syscall.sigaltstack, tape.Data<ulong>(stack.Address, (uint)(stack.Flags & ~SS_ONSTACK), stack.Length), 0);
        }
        if (thread.RobustList != 0) tape.Call("set_robust_list", Syscall.set_robust_list, thread.RobustList, thread.RobustListLength);
        tape.Call("set_tid_address", Syscall.set_tid_address, thread.ClearTidAddress);
        tape.Call("prctl(PR_SET_TIMERSLACK)", Syscall.prctl, PR_SET_TIMERSLACK, thread.TimerSlackNanoseconds);
        ThreadSettingsRestore.AddCalls(tape, thread.Settings);
        thread.Audit.Add(tape, AuditRecord.Of($"/proc/{task.Tracee.Tgid}/task/{task.Tid}"));
        if (thread.Rseq.Address != 0)
        {
            // The kernel's pointer into the critical section: a task that starts anew is in none.
            ProcessMemory.Write(task.Tid, thread.Rseq.Address + 8, new byte[8]).OrThrow("clearing of rseq_cs", task.Tracee.Whose);
            tape.Call("rseq", Syscall.rseq, thread.Rseq.Address, thread.Rseq.Length, 0, thread.Rseq.Signature);
        }
    }

    /// <summary>Scheduling, affinity and I/O priority, which anyone with the right may set on another task.</summary>
    public static void SetScheduling(ThreadRecord thread, BlankTask task)
    {
        SchedulingRecord s = thread.Scheduling;
        byte[] attributes = new byte[56];
        MemoryMarshal.Write(attributes, 56);
        MemoryMarshal.Write(attributes.AsSpan(4), s.Policy);
        MemoryMarshal.Write(attributes.AsSpan(8), s.Flags & KeptFlags);
        MemoryMarshal.Write(attributes.AsSpan(16), s.Nice);
        MemoryMarshal.Write(attributes.AsSpan(20), s.Priority);
        MemoryMarshal.Write(attributes.AsSpan(24), s.Runtime);
        MemoryMarshal.Write(attributes.AsSpan(32), s.Deadline);
        MemoryMarshal.Write(attributes.AsSpan(40), s.Period);
        if ((s.UtilizationMin, s.UtilizationMax) is not ((0, 0) or (0, FullUtilization)))
        {
            MemoryMarshal.Write(attributes.AsSpan(8), s.Flags & KeptFlags | ClampFlags);
            MemoryMarshal.Write(attributes.AsSpan(48), s.UtilizationMin);
            MemoryMarshal.Write(attributes.AsSpan(52), s.UtilizationMax);
        }
        byte[] current = new byte[56];
        bool same = !TaskQueries.SchedulingAttributes(task.Tid, current).Failed && attributes.AsSpan(4, 44).SequenceEqual(current.AsSpan(4, 44));
        if (!same) TaskSettings.SchedulingAttributes(task.Tid, attributes).OrThrow("sched_setattr", task.Tracee.Whose);
        (_, byte[] affinity) = TaskQueries.Affinity(task.Tid);
        if (!affinity.SequenceEqual(thread.Affinity)) TaskSettings.Affinity(task.Tid, thread.Affinity).OrThrow("sched_setaffinity", task.Tracee.Whose);
        SysResult priority = Kernel.Call(Syscall.ioprio_get, 1, task.Tid);
        if (priority.Failed || priority.Value != thread.IoPriority) Kernel.Call(Syscall.ioprio_set, 1, task.Tid, thread.IoPriority).OrThrow("ioprio_set", task.Tracee.Whose);
    }

    /// <summary>
    /// Credentials, in the only order that works: the bounding set while we may still drop from it, ids with the fixups off, the secure
    /// bits, then capabilities. Nothing when they are what the task has already.
    /// </summary>
    public static void AddCredentials(Tape tape, CredentialsRecord wanted, CredentialsRecord current)
    {
        if (!wanted.SameAs(current))
        {
            tape.Call("prctl(PR_SET_SECUREBITS)", Syscall.prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS, 0, 0, 0);
            for (int capability = 0; capability < 64; capability++)
                if ((current.Bounding >> capability & 1) != 0 && (wanted.Bounding >> capability & 1) == 0)
                    tape.Call($"prctl(PR_CAPBSET_DROP, {capability})", Syscall.prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
            tape.Call("setgroups", Syscall.setgroups, wanted.Groups.Length, tape.Data<uint>(wanted.Groups));
            tape.Call("setresgid", Syscall.setresgid, wanted.Gids[0], wanted.Gids[1], wanted.Gids[2]);
            if (wanted.Gids[3] != wanted.Gids[1]) tape.Call("setfsgid", Syscall.setfsgid, wanted.Gids[3]);
            tape.Call("setresuid", Syscall.setresuid, wanted.Uids[0], wanted.Uids[1], wanted.Uids[2]);
            if (wanted.Uids[3] != wanted.Uids[1]) tape.Call("setfsuid", Syscall.setfsuid, wanted.Uids[3]);
            // While the task still has all capabilities in its effective set.
            TapeData header = tape.Data<uint>(0x20080522, 0); // _LINUX_CAPABILITY_VERSION_3
            ulong inheritable = wanted.Inheritable | wanted.Ambient;
            if (wanted.Ambient != 0)
            {
                tape.Call("capset", Syscall.capset, header, Capabilities(tape, current.Permitted, current.Permitted, inheritable));
                for (int capability = 0; capability < 64; capability++)
                    if ((wanted.Ambient >> capability & 1) != 0) tape.Call($"prctl(PR_CAP_AMBIENT_RAISE, {capability})", Syscall.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
            }
            tape.Call("prctl(PR_SET_SECUREBITS)", Syscall.prctl, PR_SET_SECUREBITS, wanted.Securebits, 0, 0, 0);
            tape.Call("capset", Syscall.capset, header, Capabilities(tape, wanted.Effective, wanted.Permitted, wanted.Inheritable));
        }
        if (wanted.NoNewPrivileges) tape.Call("prctl(PR_SET_NO_NEW_PRIVS)", Syscall.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    }

    // struct __user_cap_data_struct[2]: effective, permitted, inheritable, low halves first
    private static TapeData Capabilities(Tape tape, ulong effective, ulong permitted, ulong inheritable) =>
        tape.Data<uint>((uint)effective, (uint)permitted, (uint)inheritable, (uint)(effective >> 32), (uint)(permitted >> 32), (uint)(inheritable >> 32));

    /// <summary>After the credentials, whose change clears it.</summary>
    public static void AddDeathSignal(Tape tape, ThreadRecord thread)
    {
        if (thread.ParentDeathSignal != 0) tape.Call("prctl(PR_SET_PDEATHSIG)", Syscall.prctl, PR_SET_PDEATHSIG, thread.ParentDeathSignal, 0, 0, 0);
    }

    /// <summary>Waiting signals, queued by the task to itself, as only then any siginfo is allowed (man 2 rt_sigqueueinfo). All signals are blocked meanwhile, but SIGTRAP, which ends our tapes: see <see cref="AddPendingTraps"/>.</summary>
    public static void AddPendingSignals(TapeBatch batch, int tgid, int tid, byte[][] own, byte[][] shared)
    {
        foreach (byte[] signal in shared.Where(signal => !IsTrap(signal)))
            batch.Tape.Call("rt_sigqueueinfo", Syscall.rt_sigqueueinfo, tgid, BitConverter.ToInt32(signal), batch.Tape.Data(signal));
        foreach (byte[] signal in own.Where(signal => !IsTrap(signal)))
            batch.Tape.Call("rt_tgsigqueueinfo", Syscall.rt_tgsigqueueinfo, tgid, tid, BitConverter.ToInt32(signal), batch.Tape.Data(signal));
    }

    private static bool IsTrap(byte[] signal) => BitConverter.ToInt32(signal) == Signals.SIGTRAP;

    /// <summary>Waiting SIGTRAPs, when no tape is run any more and after SIGTRAP has its action, which could take them away.</summary>
    public static void AddPendingTraps(BlankTask task, ulong syscallInstruction, int tgid, int tid, byte[][] own, byte[][] shared)
    {
        foreach (byte[] signal in shared.Where(IsTrap))
            task.CallWithoutTrap("rt_sigqueueinfo of SIGTRAP", syscallInstruction, Syscall.rt_sigqueueinfo, signal, 2, (ulong)tgid, Signals.SIGTRAP, 0);
        foreach (byte[] signal in own.Where(IsTrap))
            task.CallWithoutTrap("rt_tgsigqueueinfo of SIGTRAP", syscallInstruction, Syscall.rt_tgsigqueueinfo, signal, 3, (ulong)tgid, (ulong)tid, Signals.SIGTRAP, 0);
    }

    /// <summary>The last of all, in an interrupt stop: extended state, mask, registers.</summary>
    public static void SetRegisters(ThreadRecord thread, BlankTask task, ClockShift clock)
    {
        task.Tracee.ExtendedState = thread.ExtendedState;
        task.Tracee.SignalMask = thread.SignalMask;
        // Before the registers, whose selectors mean them.
        foreach (ThreadAreaRecord segment in thread.Segments) Ptrace.SetThreadArea(task.Tid, segment.ToDescriptor()).OrThrow("ptrace(PTRACE_SET_THREAD_AREA)", task.Tracee.Whose);
        UserRegisters registers = thread.Registers.ToRegisters();
        task.Tracee.Registers = thread.WaitLeft is null ? SleepShift.Apply(registers, task.Tid, clock) : registers;
        thread.Dispatch?.Set(task.Tracee);
    }
}
