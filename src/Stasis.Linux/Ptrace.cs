using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>struct user_regs_struct of x86-64 (arch/x86/include/asm/user_64.h), as PTRACE_GETREGS gives it to a 64-bit tracer of any task.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct UserRegisters
{
    public ulong r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss,
        fs_base, gs_base, ds, es, fs, gs;
}

/// <summary>PTRACE_GET_RSEQ_CONFIGURATION (include/uapi/linux/ptrace.h, Linux 5.13).</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct RseqConfiguration { public ulong rseq_abi_pointer; public uint rseq_abi_size, signature, flags, pad; }

/// <summary>struct user_desc (arch/x86/include/uapi/asm/ldt.h); flags are its bit fields, the lowest first.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct UserDescriptor
{
    public uint entry_number, base_addr, limit, flags;

    /// <summary>GDT_ENTRY_TLS_MIN and MAX (arch/x86/include/asm/segment.h).</summary>
    public const int First = 12, Last = 14;

    /// <summary>LDT_empty: read_exec_only and seg_not_present, nothing else.</summary>
    public readonly bool IsEmpty => base_addr == 0 && limit == 0 && flags is 0 or 0x28;
}

/// <summary>struct ptrace_sud_config (include/uapi/linux/ptrace.h, Linux 6.4): 0 as mode when off, the address of the selector byte, and the range whose calls are never dispatched.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct SyscallDispatch
{
    public ulong mode, selector, offset, len;
    public readonly bool On => mode != 0;
}

/// <summary>Requests and options of ptrace(2) (include/uapi/linux/ptrace.h).</summary>
public static class PtraceConstants
{
    public const int PEEKUSER = 3, POKEUSER = 6, CONT = 7, GETREGS = 12, SETREGS = 13, ATTACH = 16, DETACH = 17, SYSCALL = 24, GET_THREAD_AREA = 25, SET_THREAD_AREA = 26, SETOPTIONS = 0x4200, GETEVENTMSG = 0x4201, GETSIGINFO = 0x4202, SETSIGINFO = 0x4203,
        GETREGSET = 0x4204, SETREGSET = 0x4205, SEIZE = 0x4206, INTERRUPT = 0x4207, LISTEN = 0x4208, PEEKSIGINFO = 0x4209,
        GETSIGMASK = 0x420a, SETSIGMASK = 0x420b, SECCOMP_GET_FILTER = 0x420c, SECCOMP_GET_METADATA = 0x420d, GET_RSEQ_CONFIGURATION = 0x420f, SET_SYSCALL_USER_DISPATCH_CONFIG = 0x4210,
        GET_SYSCALL_USER_DISPATCH_CONFIG = 0x4211;
    public const int O_TRACESYSGOOD = 1, O_TRACEFORK = 2, O_TRACEVFORK = 4, O_TRACECLONE = 8, O_EXITKILL = 0x100000, O_TRACESECCOMP = 0x80, O_SUSPEND_SECCOMP = 0x200000;
    public const int EVENT_FORK = 1, EVENT_VFORK = 2, EVENT_CLONE = 3, EVENT_EXEC = 4, EVENT_STOP = 128;
    public const int NT_X86_XSTATE = 0x202;
    public const int MaxExtendedState = 16 * 1024; // with AMX tiles some 11 KiB
    public const int PEEKSIGINFO_SHARED = 1;
}

/// <summary>ptrace(2) calls. The kernel ties a tracee to the thread that seized it; another thread gets ESRCH.</summary>
public static unsafe class Ptrace
{
    private static SysResult Request(int request, int tid, nint address, nint data) =>
        Kernel.Call(Syscall.ptrace, request, tid, address, data);

    public static SysResult Seize(int tid, int options) => Request(PtraceConstants.SEIZE, tid, 0, options);
    public static SysResult SetOptions(int tid, int options) => Request(PtraceConstants.SETOPTIONS, tid, 0, options);
    public static SysResult Interrupt(int tid) => Request(PtraceConstants.INTERRUPT, tid, 0, 0);
    public static SysResult Continue(int tid, int signal = 0) => Request(PtraceConstants.CONT, tid, 0, signal);
    public static SysResult ContinueToSyscall(int tid) => Request(PtraceConstants.SYSCALL, tid, 0, 0);
    public static SysResult Listen(int tid) => Request(PtraceConstants.LISTEN, tid, 0, 0);
    public static SysResult Detach(int tid, int signal = 0) => Request(PtraceConstants.DETACH, tid, 0, signal);

    public static SysResult GetRegisters(int tid, out UserRegisters registers)
    {
        // Not the register set NT_PRSTATUS, which of a task in 32-bit code is another one.
        registers = default;
        fixed (UserRegisters* pointer = &registers) return Request(PtraceConstants.GETREGS, tid, 0, (nint)pointer);
    }

    public static SysResult SetRegisters(int tid, in UserRegisters registers)
    {
        fixed (UserRegisters* pointer = &registers) return Request(PtraceConstants.SETREGS, tid, 0, (nint)pointer);
    }

    /// <summary>The whole xsave area in its standard (not compacted) format; the length is what the kernel gives for this CPU.</summary>
    public static (SysResult Result, byte[] Area) GetExtendedState(int tid)
    {
        Span<byte> buffer = stackalloc byte[PtraceConstants.MaxExtendedState];
        fixed (byte* pointer = buffer)
        {
            nint* iovec = stackalloc nint[2] { (nint)pointer, buffer.Length };
            SysResult result = Request(PtraceConstants.GETREGSET, tid, PtraceConstants.NT_X86_XSTATE, (nint)iovec);
            return (result, result.Failed ? [] : buffer[..(int)iovec[1]].ToArray());
        }
    }

    public static SysResult SetExtendedState(int tid, ReadOnlySpan<byte> area)
    {
        fixed (byte* pointer = area)
        {
            nint* iovec = stackalloc nint[2] { (nint)pointer, area.Length };
            return Request(PtraceConstants.SETREGSET, tid, PtraceConstants.NT_X86_XSTATE, (nint)iovec);
        }
    }

    public static SysResult GetSignalMask(int tid, out ulong mask)
    {
        mask = 0;
        fixed (ulong* pointer = &mask) return Request(PtraceConstants.GETSIGMASK, tid, 8, (nint)pointer);
    }

    public static SysResult SetSignalMask(int tid, ulong mask) => Request(PtraceConstants.SETSIGMASK, tid, 8, (nint)(&mask));

    /// <summary>One queued signal from the task's own or its group's queue without taking it (man 2 ptrace, PTRACE_PEEKSIGINFO). Value 0 past the end.</summary>
    public static SysResult PeekSignal(int tid, ulong index, bool shared, Span<byte> siginfo128)
    {
        InvariantBroken.Require(siginfo128.Length == 128, "siginfo_t has 128 bytes");
        ulong* arguments = stackalloc ulong[2] { index, (shared ? 1u : 0u) | (1ul << 32) }; // off, flags, nr
        fixed (byte* pointer = siginfo128)
            return Request(PtraceConstants.PEEKSIGINFO, tid, (nint)arguments, (nint)pointer);
    }

    public static SysResult GetSignalInformation(int tid, Span<byte> siginfo128)
    {
        fixed (byte* pointer = siginfo128) return Request(PtraceConstants.GETSIGINFO, tid, 0, (nint)pointer);
    }

    public static SysResult GetRseq(int tid, out RseqConfiguration configuration)
    {
        configuration = default;
        fixed (RseqConfiguration* pointer = &configuration)
            return Request(PtraceConstants.GET_RSEQ_CONFIGURATION, tid, sizeof(RseqConfiguration), (nint)pointer);
    }

    /// <summary>Syscall user dispatch (Documentation/admin-guide/syscall-user-dispatch.rst). Off, too, in a kernel that does not tell.</summary>
    public static SyscallDispatch GetSyscallUserDispatch(int tid)
    {
        var dispatch = default(SyscallDispatch);
        return Request(PtraceConstants.GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(SyscallDispatch), (nint)(&dispatch)).Failed ? default : dispatch;
    }

    public static SysResult SetSyscallUserDispatch(int tid, SyscallDispatch dispatch) =>
        Request(PtraceConstants.SET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(SyscallDispatch), (nint)(&dispatch));

    /// <summary>The seccomp filter at a place, the one installed first at 0: its instructions (8 bytes each) and how many. Errors: ENOENT behind the last.</summary>
    public static SysResult GetSeccompFilter(int tid, ulong place, Span<byte> program)
    {
        fixed (byte* pointer = program) return Request(PtraceConstants.SECCOMP_GET_FILTER, tid, (nint)place, (nint)pointer);
    }

    public static SysResult GetSeccompFlags(int tid, ulong place, out ulong flags)
    {
        ulong* metadata = stackalloc ulong[2] { place, 0 }; // struct seccomp_metadata: filter_off, flags
        SysResult result = Request(PtraceConstants.SECCOMP_GET_METADATA, tid, 16, (nint)metadata);
        flags = metadata[1];
        return result;
    }

    /// <summary>One of the three segments that a task may have for its thread-local data (man 2 set_thread_area), by its number in the GDT.</summary>
    public static SysResult GetThreadArea(int tid, int number, out UserDescriptor descriptor)
    {
        descriptor = default;
        fixed (UserDescriptor* pointer = &descriptor) return Request(PtraceConstants.GET_THREAD_AREA, tid, number, (nint)pointer);
    }

    public static SysResult SetThreadArea(int tid, UserDescriptor descriptor) => Request(PtraceConstants.SET_THREAD_AREA, tid, (nint)descriptor.entry_number, (nint)(&descriptor));

    public static SysResult GetEventMessage(int tid, out ulong message)
    {
        message = 0;
        fixed (ulong* pointer = &message) return Request(PtraceConstants.GETEVENTMSG, tid, 0, (nint)pointer);
    }
}

/// <summary>A status as wait4(2) reports it (man 2 wait; include/linux/ptrace.h for the event in bits 16 and up).</summary>
public readonly record struct WaitStatus(int Raw)
{
    public bool Exited => (Raw & 0x7f) == 0;
    public int ExitCode => (Raw >> 8) & 0xff;
    public bool Signaled => ((Raw & 0x7f) + 1) >> 1 > 0 && (Raw & 0x7f) != 0x7f;
    public int TerminationSignal => Raw & 0x7f;
    public bool Stopped => (Raw & 0xff) == 0x7f;
    public int StopSignal => (Raw >> 8) & 0xff;
    public int Event => Raw >> 16;
    public bool Gone => Exited || Signaled;
    public bool EventStop => Stopped && Event == PtraceConstants.EVENT_STOP;
    public bool SyscallStop => Stopped && StopSignal == (5 | 0x80);
}

/// <summary>wait4(2) without ever waiting unbounded.</summary>
public static unsafe class Wait
{
    public const int WNOHANG = 1, WUNTRACED = 2, __WALL = 0x40000000;

    /// <summary>The next status of the task, or null when it has none now. Errors: ECHILD when it is not ours.</summary>
    public static (SysResult Result, WaitStatus? Status) Poll(int tid)
    {
        int status = 0;
        SysResult result = Kernel.CallRetrying(Syscall.wait4, tid, (nint)(&status), __WALL | WNOHANG);
        if (result.Failed || result.Value == 0) return (result, null);
        return (result, new WaitStatus(status));
    }

    /// <summary>As <see cref="Poll"/>, and the status stays there to be waited for.</summary>
    public static (SysResult Result, WaitStatus? Status) Peek(int tid)
    {
        const int P_PID = 1, WSTOPPED = 2, WEXITED = 4, WNOWAIT = 0x1000000, CLD_EXITED = 1, CLD_KILLED = 2, CLD_DUMPED = 3;
        int* information = stackalloc int[32]; // siginfo_t: si_signo is zero when there is nothing; si_code is the third, si_status the seventh
        information[0] = 0;
        SysResult result = Kernel.CallRetrying(Syscall.waitid, P_PID, tid, (nint)information, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL, 0);
        if (result.Failed || information[0] == 0) return (result, null);
        int told = information[6];
        return (result, new WaitStatus(information[2] switch { CLD_EXITED => told << 8, CLD_KILLED => told, CLD_DUMPED => told | 0x80, _ => told << 8 | 0x7f }));
    }

    /// <summary>Waits at most <paramref name="timeout"/>: spins first (a stop usually takes microseconds), then sleeps in growing steps.</summary>
    /// <param name="leave">The status stays there, to be waited for once more.</param>
    public static (SysResult Result, WaitStatus? Status) For(int tid, TimeSpan timeout, bool leave = false)
    {
        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        for (int round = 0; ; round++)
        {
            (SysResult result, WaitStatus? status) = leave ? Peek(tid) : Poll(tid);
            if (result.Failed || status is not null) return (result, status);
            if (Environment.TickCount64 > deadline) return (SysResult.Error(Errno.ETIMEDOUT), null);
            Pause.Round(round);
        }
    }

    /// <summary>Blocks until the child changes state, interruptible by signals of ours: (EINTR, null) then.</summary>
    public static (SysResult Result, WaitStatus? Status) Blocking(int pid, int options)
    {
        int status = 0;
        SysResult result = Kernel.Call(Syscall.wait4, pid, (nint)(&status), options);
        return result.Failed ? (result, null) : (result, new WaitStatus(status));
    }
}

/// <summary>How we wait for something that usually takes microseconds: yield first, then sleep a little longer each time.</summary>
public static unsafe class Pause
{
    /// <summary>Whether something that should be so already is, or becomes so within a fifth of a second: what we send to this host ourselves comes at once, but for a kernel that leaves it to a thread of its own (ksoftirqd, RPS).</summary>
    public static bool Until(Func<bool> isSo)
    {
        const int Looks = 200, LookMicroseconds = 1000;
        for (int look = 0; look < Looks; look++)
        {
            if (isSo()) return true;
            Microseconds(LookMicroseconds);
        }
        return isSo();
    }

    public static void Round(int round)
    {
        if (round < 64) Kernel.Call(Syscall.sched_yield);
        else Microseconds(Math.Min(2000, 20 << Math.Min(7, (round - 64) / 16)));
    }

    public static void Microseconds(long microseconds)
    {
        long* timespec = stackalloc long[2] { microseconds / 1_000_000, microseconds % 1_000_000 * 1000 };
        Kernel.Call(Syscall.nanosleep, (nint)timespec, 0);
    }
}
