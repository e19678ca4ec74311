using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.Remote.X64;

namespace Stasis.State.Seccomp;

/// <summary>
/// A sleep that a stop interrupted goes on by restart_syscall (man 2 restart_syscall), a call of its own that filters judge too: a program
/// whose filter does not know it is killed by every stop in a sleep, ours like SIGSTOP's (seen in an experiment: sshd's child before the log-in).
/// </summary>
public static class ForbiddenRestart
{
    /// <summary>For a task just stopped: where its filters would end it, the call starts again from its beginning, which they allow.</summary>
    /// <remarks>Done in the stop itself and by registers alone, so that it holds as well if we die.</remarks>
    public static void Spare(Tracee tracee)
    {
        UserRegisters registers = tracee.Registers;
        if (!SyscallRestart.NeedsRestartBlock(registers) || !IsForbidden(tracee, registers)) return;
        if (SyscallRestart.ForImage(registers, LiveMachine.CodeBefore(tracee, registers), LiveMachine.MemoryOf(tracee)) is { } again) tracee.Registers = again;
    }

    private static bool IsForbidden(Tracee tracee, in UserRegisters r)
    {
        SysResult first = Ptrace.GetSeccompFilter(tracee.Tid, 0, []);
        if (first.Errno is Errno.ENOENT or Errno.EINVAL) return false; // no filter, as nearly always
        if (first.Failed) return ProcStatus.Read($"/proc/{tracee.Tgid}/task/{tracee.Tid}")?.Number("Seccomp") == SeccompRecord.Filter; // we may not read it: it may forbid it
        return Forbid(SeccompCapture.Read(tracee), r);
    }

    /// <summary>Whether one of the filters ends a task with these registers, of an interrupted call, when it goes on by restart_syscall.</summary>
    /// <param name="told">It has a tracer that its filters may stop it for (SECCOMP_RET_TRACE) instead.</param>
    public static bool Forbid(IEnumerable<SeccompFilterRecord> filters, in UserRegisters r, bool told = false)
    {
        bool compat = Compat.IsIn(r);
        (int number, uint architecture) = compat ? (Compat.restart_syscall, FilterVerdict.ArchitectureX86) : ((int)Syscall.restart_syscall, FilterVerdict.ArchitectureX64);
        ReadOnlySpan<ulong> arguments = compat ? [(uint)r.rbx, (uint)r.rcx, (uint)r.rdx, (uint)r.rsi, (uint)r.rdi, (uint)r.rbp] : [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9];
        foreach (SeccompFilterRecord filter in filters)
            if (!FilterVerdict.Allows(filter, number, architecture, r.rip, arguments) && !(told && FilterVerdict.IsTold([filter], r))) return true;
        return false;
    }
}
