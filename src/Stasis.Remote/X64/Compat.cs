using System.Buffers.Binary;
using Stasis.Linux;

namespace Stasis.Remote.X64;

/// <summary>
/// Programs of 32 bits (i386) under a 64-bit kernel. A task is in 32-bit code by its code segment alone, so our tapes run in it in 64-bit
/// mode, by 64-bit calls, and a 64-bit signal frame leads back, as it holds the code segment too (all seen in experiments on Linux 6.18).
/// What makes the program one of 32 bits is decided by execve (its address space, its vdso), and, for signal handlers and robust futexes, by
/// which of the two interfaces the call is made through: `int $0x80` is the old one, in either mode.
/// </summary>
public static class Compat
{
    public const ulong CodeSegment = 0x23, LongCodeSegment = 0x33, StackSegment = 0x2b; // __USER32_CS, __USER_CS, __USER_DS (arch/x86/include/asm/segment.h)
    public const ulong HighestAddress = 0xffffe000; // IA32_PAGE_OFFSET

    public static bool IsIn(in UserRegisters registers) => registers.cs == CodeSegment;

    public static readonly byte[] CallInstruction = [0xcd, 0x80];

    /// <summary>`int $0x80; pop %ebp; pop %edx; pop %ecx; ret`: the end of __kernel_vsyscall, in every 32-bit vdso (arch/x86/entry/vdso/vdso32/system_call.S).</summary>
    internal static readonly byte[] CallAndReturn = [0xcd, 0x80, 0x5d, 0x5a, 0x59, 0xc3];
    internal const int Popped = 12;

    /// <summary>pause() again and again: `1: mov $29,%eax; int $0x80; jmp 1b`.</summary>
    internal static readonly byte[] Pause = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];

    /// <summary>`mov $173,%eax; int $0x80`: __kernel_rt_sigreturn of that vdso.</summary>
    internal static readonly byte[] Restorer = [0xb8, 0xad, 0, 0, 0, 0xcd, 0x80];

    /// <summary>Numbers of arch/x86/entry/syscalls/syscall_32.tbl.</summary>
    public const int restart_syscall = 0, munmap = 91, poll = 168, nanosleep = 162, rt_sigaction = 174, mmap2 = 192, socketcall = 102, connect = 362, futex = 240, clock_nanosleep = 267, set_robust_list = 311, get_robust_list = 312,
        clock_nanosleep_time64 = 407, futex_time64 = 422;

    // Calls that end in EINTR after any stop: read, write, socketcall, ipc, readv, writev, rt_sigtimedwait, epoll_wait, epoll_pwait, connect, accept4, sendto,
    // sendmsg, recvfrom, recvmsg, semtimedop_time64, rt_sigtimedwait_time64, epoll_pwait2.
    private static readonly int[] s_endsByStops = [3, 4, 102, 117, 145, 146, 177, 256, 319, 362, 364, 369, 370, 371, 372, 420, 421, 441];

    public static bool EndsByStop(long number) => s_endsByStops.AsSpan().Contains((int)number);

    private static readonly int[] s_withRestartBlock = [nanosleep, poll, futex, clock_nanosleep, clock_nanosleep_time64, futex_time64];

    /// <summary>
    /// Which call it was that shows as restart_syscall: its number was loaded just before the call instruction, or, where the C library calls
    /// the vdso for it, before the place that this will return to (above the three registers that the vdso pushes). null when it can't be told.
    /// </summary>
    public static int? OriginalCall(in UserRegisters registers, SyscallRestart.MemoryReader memory)
    {
        if (NumberBefore(registers.rip - 2, memory) is { } here) return here;
        Span<byte> back = stackalloc byte[4];
        return memory(registers.rsp + Popped, back) ? NumberBefore(BitConverter.ToUInt32(back), memory) : null;
    }

    private static int? NumberBefore(ulong address, SyscallRestart.MemoryReader memory)
    {
        Span<byte> code = stackalloc byte[32];
        if (address < 4096 || !memory(address - (ulong)code.Length, code)) return null;
        for (int at = code.Length - 5; at >= 0; at--)
            if (code[at] == 0xb8 && s_withRestartBlock.AsSpan().Contains(BitConverter.ToInt32(code[(at + 1)..]))) return BitConverter.ToInt32(code[(at + 1)..]); // mov $imm32,%eax
        return null;
    }

    /// <summary>The registers for one call through the old interface: 32 bits each, by the instruction at <paramref name="instruction"/>.</summary>
    public static UserRegisters Call(UserRegisters registers, ulong instruction, int number, params ReadOnlySpan<ulong> arguments)
    {
        ulong Argument(int place, ReadOnlySpan<ulong> all) => place < all.Length ? (uint)all[place] : 0;
        (registers.cs, registers.ss) = (CodeSegment, StackSegment);
        (registers.rip, registers.orig_rax, registers.rax) = (instruction, ulong.MaxValue, (ulong)(uint)number);
        (registers.rbx, registers.rcx, registers.rdx) = (Argument(0, arguments), Argument(1, arguments), Argument(2, arguments));
        (registers.rsi, registers.rdi, registers.rbp) = (Argument(3, arguments), Argument(4, arguments), Argument(5, arguments));
        return registers;
    }
}

/// <summary>
/// The return ticket of a task in 32-bit code for calls by the vdso's own instruction: struct rt_sigframe_ia32
/// (arch/x86/include/asm/sigframe.h), behind what that code pops.
/// </summary>
internal static class CompatFrame
{
    private const int Frame = Compat.Popped, UContext = Frame + 144, Stack = UContext + 8, Context = UContext + 20, SignalMask = Context + 88, FixedPart = SignalMask + 8 + 8;
    private const int FsaveHeader = 112;
    private const uint FP_XSTATE_MAGIC1 = 0x46505853, FP_XSTATE_MAGIC2 = 0x46505845;

    public static int Size(int xsaveLength) => FixedPart + FsaveHeader + 64 + xsaveLength + 4;

    /// <param name="whole">The xsave area as ptrace tells it; the frame gets what is in use of it.</param>
    /// <summary>The bytes as they must lie at <paramref name="address"/>, which the stack pointer points at when the call is made.</summary>
    public static byte[] Build(ulong address, in UserRegisters stopped, ulong signalMask, ReadOnlySpan<byte> whole, ulong restorer, SyscallRestart.MemoryReader memory)
    {
        UserRegisters r = SyscallRestart.Resolve(stopped, [], memory);
        ReadOnlySpan<byte> xsave = whole[..ExtendedLayout.Here.UsedLength(whole)];
        ulong extended = (address + FixedPart + FsaveHeader + 63) & ~63ul;
        byte[] frame = new byte[(int)(extended - address) + xsave.Length + 4];
        void Put(int offset, ulong value) => BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(offset), (uint)value);
        Put(Frame, restorer);
        Put(UContext, 1); // UC_FP_XSTATE
        Put(Stack + 8, 1); // an alternate stack of a size that the kernel rejects in silence, so that the true one stays as it is
        ulong[] context =
        [
            r.gs, r.fs, r.es, r.ds, r.rdi, r.rsi, r.rbp, r.rsp, r.rbx, r.rdx, r.rcx, r.rax, 0 /* trapno */, 0 /* err */, r.rip, r.cs, r.eflags, r.rsp /* at signal */, r.ss,
            extended - FsaveHeader, signalMask /* oldmask */, 0 /* cr2 */,
        ];
        for (int i = 0; i < context.Length; i++) Put(Context + i * 4, context[i]);
        BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(SignalMask), signalMask);
        Span<byte> area = frame.AsSpan((int)(extended - address));
        xsave.CopyTo(area);
        Legacy(frame.AsSpan((int)(extended - address) - FsaveHeader, FsaveHeader), xsave);
        BinaryPrimitives.WriteUInt32LittleEndian(area[464..], FP_XSTATE_MAGIC1);
        BinaryPrimitives.WriteUInt32LittleEndian(area[468..], (uint)xsave.Length + FsaveHeader + 4);
        BinaryPrimitives.WriteUInt64LittleEndian(area[472..], ExtendedLayout.FeaturesOf(xsave));
        BinaryPrimitives.WriteUInt32LittleEndian(area[480..], (uint)xsave.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(area[xsave.Length..], FP_XSTATE_MAGIC2);
        return frame;
    }

    // struct _fpstate_32 up to its fxsave area: what the kernel puts the x87 state together from again (convert_to_fxsr, arch/x86/kernel/fpu/regset.c).
    private static void Legacy(Span<byte> header, ReadOnlySpan<byte> fxsave)
    {
        ushort control = BinaryPrimitives.ReadUInt16LittleEndian(fxsave), status = BinaryPrimitives.ReadUInt16LittleEndian(fxsave[2..]), operation = BinaryPrimitives.ReadUInt16LittleEndian(fxsave[6..]);
        uint tags = 0;
        for (int register = 0; register < 8; register++) if ((fxsave[4] >> register & 1) == 0) tags |= 3u << register * 2;
        uint instruction = BinaryPrimitives.ReadUInt32LittleEndian(fxsave[8..]), operand = BinaryPrimitives.ReadUInt32LittleEndian(fxsave[16..]);
        uint codeSegment = BinaryPrimitives.ReadUInt16LittleEndian(fxsave[12..]), dataSegment = BinaryPrimitives.ReadUInt16LittleEndian(fxsave[20..]);
        uint[] words = [control | 0xffff0000u, status | 0xffff0000u, tags | 0xffff0000u, instruction, codeSegment | (uint)operation << 16, operand, dataSegment];
        for (int i = 0; i < words.Length; i++) BinaryPrimitives.WriteUInt32LittleEndian(header[(i * 4)..], words[i]);
        for (int register = 0; register < 8; register++) fxsave.Slice(32 + register * 16, 10).CopyTo(header[(28 + register * 10)..]);
        BinaryPrimitives.WriteUInt16LittleEndian(header[108..], status);
        // magic 0 (X86_FXSR_MAGIC): the rest follows
    }
}
