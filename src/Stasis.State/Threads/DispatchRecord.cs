using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Threads;

/// <summary>
/// Syscall user dispatch (prctl PR_SET_SYSCALL_USER_DISPATCH; Documentation/admin-guide/syscall-user-dispatch.rst): the system calls of a thread
/// end in SIGSYS while a byte of its memory says so, but those from one range of addresses. Emulators switch it with every change of sides.
/// </summary>
/// <param name="Selector">The address of that byte; 0 for none, which is as if it always said so.</param>
public sealed record DispatchRecord(ulong Selector, ulong Offset, ulong Length)
{
    private const int PR_SYS_DISPATCH_EXCLUSIVE_ON = 1, PR_SYS_DISPATCH_INCLUSIVE_ON = 2;
    private const byte SYSCALL_DISPATCH_FILTER_ALLOW = 0;

    public static DispatchRecord? From(SyscallDispatch dispatch) => dispatch.On ? new DispatchRecord(dispatch.selector, dispatch.offset, dispatch.len) : null;

    /// <summary>
    /// Whether our own calls, and the rt_sigreturn that leads home, would end in the program's handler. We must not switch it off meanwhile: if we
    /// died then, nobody would switch it on again. A thread that waits in a system call was allowed to make it.
    /// </summary>
    public static bool StandsInTheWay(Tracee task)
    {
        SyscallDispatch dispatch = Ptrace.GetSyscallUserDispatch(task.Tid);
        if (!dispatch.On) return false;
        byte[] selector = new byte[1];
        return dispatch.selector == 0 || ProcessMemory.ReadExactly(task.Tid, dispatch.selector, selector).Failed || selector[0] != SYSCALL_DISPATCH_FILTER_ALLOW;
    }

    /// <summary>For a task that makes no more calls of ours.</summary>
    public void Set(Tracee task)
    {
        // A range whose calls alone are dispatched (Linux 6.17) is told as the other one, which goes around: kernel/entry/syscall_user_dispatch.c.
        bool inverted = Offset != 0 && unchecked(Offset + Length) <= Offset;
        SyscallDispatch dispatch = inverted
            ? new SyscallDispatch { mode = PR_SYS_DISPATCH_INCLUSIVE_ON, selector = Selector, offset = unchecked(Offset + Length), len = unchecked(0 - Length) }
            : new SyscallDispatch { mode = PR_SYS_DISPATCH_EXCLUSIVE_ON, selector = Selector, offset = Offset, len = Length };
        Ptrace.SetSyscallUserDispatch(task.Tid, dispatch).OrThrow("ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG)", task.Whose);
    }
}
