using Stasis.Linux;

namespace Stasis.Remote.X64;

/// <summary>
/// What becomes of a system call that a stop interrupted. The kernel leaves -ERESTART* in rax of a stopped task and decides when
/// it goes on (arch/x86/kernel/signal.c, arch_do_signal_or_restart); some calls return a plain EINTR after any stop, also one that
/// no signal caused (man 7 signal, "Interruption of system calls and library functions by stop signals").
/// </summary>
public static class SyscallRestart
{
    public static bool InSyscall(in UserRegisters registers) => (long)registers.orig_rax >= 0;

    private static Errno Pending(in UserRegisters registers) => (long)registers.rax is < 0 and > -1024 ? (Errno)(int)-(long)registers.rax : Errno.None;

    public static bool IsRestart(in UserRegisters registers) => InSyscall(registers) &&
        Pending(registers) is Errno.ERESTARTSYS or Errno.ERESTARTNOINTR or Errno.ERESTARTNOHAND or Errno.ERESTART_RESTARTBLOCK;

    public static bool NeedsRestartBlock(in UserRegisters registers) => InSyscall(registers) && Pending(registers) == Errno.ERESTART_RESTARTBLOCK;

    /// <summary>
    /// The registers with which user code goes on when rt_sigreturn brings it back: the interrupted call again. Never by
    /// restart_syscall: rt_sigreturn forgets the restart_block (do_no_restart_syscall), and the program would see EINTR (seen in an
    /// experiment: two targets of some hundred died of it).
    /// </summary>
    public static UserRegisters Resolve(UserRegisters registers, ReadOnlySpan<byte> codeBefore, MemoryReader? memory = null)
    {
        if (!IsRestart(registers)) return registers;
        return Again(ForImage(registers, codeBefore, memory) ?? registers);
    }

    /// <summary>True when the stop, not a signal, made this call return EINTR, so that the program must not see it.</summary>
    public static bool IsStrayInterrupt(in UserRegisters registers) => InSyscall(registers) && Pending(registers) == Errno.EINTR &&
        (Compat.IsIn(registers) ? Compat.EndsByStop((long)registers.orig_rax) : EndsByStop((Syscall)registers.orig_rax));

    /// <summary>The registers with a call that starts again where no handler runs first, and else ends with EINTR.</summary>
    public static UserRegisters UnlessHandled(UserRegisters registers) => registers with { rax = unchecked((ulong)-(long)Errno.ERESTARTNOHAND) };

    private static bool EndsByStop(Syscall call) => call is Syscall.epoll_wait or Syscall.epoll_pwait or Syscall.epoll_pwait2 or Syscall.semop or Syscall.semtimedop
            or Syscall.rt_sigtimedwait or Syscall.recvfrom or Syscall.recvmsg or Syscall.sendto or Syscall.sendmsg or Syscall.accept or Syscall.accept4
            or Syscall.io_uring_enter or Syscall.io_getevents or Syscall.io_pgetevents or Syscall.connect or Syscall.read or Syscall.write or Syscall.readv or Syscall.writev;

    /// <summary>The same call again, from its start.</summary>
    public static UserRegisters Again(UserRegisters registers)
    {
        registers.rax = registers.orig_rax;
        registers.rip -= 2;
        registers.orig_rax = ulong.MaxValue;
        return registers;
    }

    /// <summary>
    /// For the image: the rest of a sleep lies in the kernel's restart_block and can't be read, so the call is repeated whole
    /// (nanosleep has by now written the remaining time where the program asked for it, for sleep(3) into the request itself).
    /// As -ERESTARTNOHAND, so that a handler that runs first still makes it EINTR.
    /// </summary>
    /// <param name="codeBefore">The bytes just before the syscall instruction: a call that was restarted once shows as
    /// restart_syscall, and only `mov $nr,%eax` still tells which one it is.</param>
    /// <param name="memory">Reads the task's memory: where not even that tells (musl takes the number from an argument), its arguments may.</param>
    /// <param name="choose">Told of several calls that it may be, names the one it is, or none.</param>
    /// <returns>null when the call can't be told.</returns>
    public static UserRegisters? ForImage(UserRegisters registers, ReadOnlySpan<byte> codeBefore, MemoryReader? memory = null, Func<IReadOnlyList<Syscall>, Syscall?>? choose = null)
    {
        if (!NeedsRestartBlock(registers)) return registers;
        if (Compat.IsIn(registers))
        {
            if ((int)registers.orig_rax == Compat.restart_syscall)
            {
                if (memory is null || Compat.OriginalCall(registers, memory) is not { } call) return null;
                registers.orig_rax = (ulong)call;
            }
        }
        else if ((Syscall)registers.orig_rax == Syscall.restart_syscall)
        {
            if ((OriginalCall(codeBefore) ?? CallByArguments(registers, memory, choose)) is not { } original) return null;
            registers.orig_rax = (ulong)(int)original;
        }
        registers.rax = unchecked((ulong)-(long)Errno.ERESTARTNOHAND);
        return registers;
    }

    private static Syscall? OriginalCall(ReadOnlySpan<byte> codeBefore)
    {
        for (int at = codeBefore.Length - 5; at >= 0; at--)
        {
            if (codeBefore[at] != 0xb8) continue; // mov $imm32,%eax
            var number = (Syscall)BitConverter.ToInt32(codeBefore[(at + 1)..(at + 5)]);
            if (number is Syscall.nanosleep or Syscall.clock_nanosleep or Syscall.poll or Syscall.futex) return number;
        }
        return null;
    }

    /// <summary>Fills the buffer from an address of the task; false when it can't be read.</summary>
    public delegate bool MemoryReader(ulong address, Span<byte> buffer);

    // The calls with a restart_block, each by what its arguments must be (a restarted call still has all of them). Only what is one of them
    // and none of the others is told: a wrong guess would make the program do something else.
    private static Syscall? CallByArguments(in UserRegisters r, MemoryReader? memory, Func<IReadOnlyList<Syscall>, Syscall?>? choose)
    {
        if (memory is null) return null;
        const int FUTEX_WAIT = 0, FUTEX_WAIT_BITSET = 9, FUTEX_COMMANDS = 0x7f, FUTEX_LARGEST = 0x1ff, MostClocks = 16, MostPolled = 1 << 20;
        List<Syscall> possible = [];
        if (IsTime(r.rdi, memory) && (r.rsi == 0 || IsPointer(r.rsi))) possible.Add(Syscall.nanosleep);
        if (r.rdi < MostClocks && (int)r.rsi == 0 && IsTime(r.rdx, memory) && (r.r10 == 0 || IsPointer(r.r10))) possible.Add(Syscall.clock_nanosleep);
        if ((r.rdi == 0 ? r.rsi == 0 : IsPointer(r.rdi)) && r.rsi <= MostPolled && r.rdx is > 0 and <= int.MaxValue && IsPolled(r.rdi, (int)r.rsi, memory)) possible.Add(Syscall.poll);
        if (IsPointer(r.rdi) && r.rdi % 4 == 0 && r.rsi <= FUTEX_LARGEST && (r.rsi & FUTEX_COMMANDS) is FUTEX_WAIT or FUTEX_WAIT_BITSET && IsTime(r.r10, memory)) possible.Add(Syscall.futex);
        return possible.Count == 1 ? possible[0] : choose?.Invoke(possible);
    }

    private static bool IsPointer(ulong value) => value is >= 4096 and < 1ul << 47;

    // struct timespec: seconds and less than a billion nanoseconds
    private static bool IsTime(ulong address, MemoryReader memory)
    {
        Span<byte> time = stackalloc byte[16];
        return IsPointer(address) && memory(address, time) && BitConverter.ToUInt64(time) < 1ul << 40 && BitConverter.ToUInt64(time[8..]) < 1_000_000_000;
    }

    // struct pollfd: descriptor, events, returned events
    private static bool IsPolled(ulong address, int count, MemoryReader memory)
    {
        Span<byte> one = stackalloc byte[8];
        bool waitsForSomething = count == 0;
        for (int i = 0; i < Math.Min(count, 16); i++)
        {
            if (!memory(address + (ulong)i * 8, one) || BitConverter.ToInt32(one) is < -1 or > MostDescriptor || BitConverter.ToInt16(one[4..]) < 0) return false;
            waitsForSomething |= BitConverter.ToInt32(one) >= 0 && BitConverter.ToInt16(one[4..]) != 0;
        }
        return waitsForSomething;
    }

    private const int MostDescriptor = 1 << 24;
}
