using System.Buffers.Binary;
using Stasis.Linux;

namespace Stasis.Remote.X64;

/// <summary>
/// The return ticket: struct rt_sigframe of x86-64 (arch/x86/include/asm/sigframe.h) with a task's whole state, from which one
/// rt_sigreturn restores it. The saved registers are those of the restarted call when the task was stopped inside one, as the
/// kernel itself would have set them, or user code would see -512.
/// </summary>
internal static class SignalFrame
{
    private const int UContext = 8, SigContext = UContext + 40, SignalMask = UContext + 296, FixedPart = UContext + 304 + 128;
    private const uint FP_XSTATE_MAGIC1 = 0x46505853, FP_XSTATE_MAGIC2 = 0x46505845;

    /// <summary>Bytes needed for a frame at any address, with the alignment of the xsave area, of which all may be in use.</summary>
    public static int Size(int xsaveLength) => FixedPart + 64 + xsaveLength + 4;

    /// <param name="codeBefore">The bytes before the instruction the task was stopped behind; see <see cref="SyscallRestart.ForImage"/>.</param>
    /// <param name="whole">The xsave area as ptrace tells it; the frame gets what is in use of it.</param>
    /// <summary>The frame as it must lie at <paramref name="address"/> (16-byte aligned). rt_sigreturn wants rsp = address + 8.</summary>
    public static byte[] Build(ulong address, in UserRegisters stopped, ulong signalMask, ReadOnlySpan<byte> whole, ulong restorer, ReadOnlySpan<byte> codeBefore, SyscallRestart.MemoryReader? memory = null)
    {
        UserRegisters registers = SyscallRestart.Resolve(stopped, codeBefore, memory);
        ReadOnlySpan<byte> xsave = whole[..ExtendedLayout.Here.UsedLength(whole)];
        ulong extended = (address + FixedPart + 63) & ~63ul;
        byte[] frame = new byte[(int)(extended - address) + xsave.Length + 4];
        Put(frame, 0, restorer);
        Put(frame, UContext, 7); // UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
        // uc_stack: a size the kernel rejects in silence, so that the true alternate stack, not known yet, stays as it is.
        Put(frame, UContext + 32, 1);
        ulong[] general =
        [
            registers.r8, registers.r9, registers.r10, registers.r11, registers.r12, registers.r13, registers.r14, registers.r15, registers.rdi,
            registers.rsi, registers.rbp, registers.rbx, registers.rdx, registers.rax, registers.rcx, registers.rsp, registers.rip, registers.eflags,
        ];
        for (int i = 0; i < general.Length; i++) Put(frame, SigContext + i * 8, general[i]);
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(SigContext + 144), (ushort)registers.cs);
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(SigContext + 150), (ushort)registers.ss);
        Put(frame, SigContext + 184, extended);
        Put(frame, SignalMask, signalMask);

        Span<byte> area = frame.AsSpan((int)(extended - address));
        xsave.CopyTo(area);
        ulong features = ExtendedLayout.FeaturesOf(xsave);
        BinaryPrimitives.WriteUInt32LittleEndian(area[464..], FP_XSTATE_MAGIC1);
        BinaryPrimitives.WriteUInt32LittleEndian(area[468..], (uint)xsave.Length + 4);
        BinaryPrimitives.WriteUInt64LittleEndian(area[472..], features);
        BinaryPrimitives.WriteUInt32LittleEndian(area[480..], (uint)xsave.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(area[xsave.Length..], FP_XSTATE_MAGIC2);
        return frame;
    }

    private static void Put(byte[] frame, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(offset), value);
}
