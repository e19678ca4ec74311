using System.Buffers.Binary;
using Stasis.Linux;
using Stasis.Remote.X64;

namespace Stasis.State.Seccomp;

/// <summary>What a seccomp filter answers to one call: a classic BPF program (man 2 seccomp, linux/filter.h) over struct seccomp_data, run here instead of by the kernel.</summary>
public static class FilterVerdict
{
    public const uint ArchitectureX64 = 0xc000003e, ArchitectureX86 = 0x40000003; // AUDIT_ARCH_X86_64, AUDIT_ARCH_I386

    private const uint SECCOMP_RET_ACTION_FULL = 0xffff0000, SECCOMP_RET_DATA = 0xffff, SECCOMP_RET_ERRNO = 0x00050000, SECCOMP_RET_TRACE = 0x7ff00000, SECCOMP_RET_LOG = 0x7ffc0000, SECCOMP_RET_ALLOW = 0x7fff0000;
    private const int DataLength = 64, MemoryWords = 16; // sizeof(struct seccomp_data), BPF_MEMWORDS

    /// <summary>Whether the call goes through. A program that no kernel would have taken lets nothing through.</summary>
    /// <param name="instructionPointer">Behind the call's instruction, as the kernel gives it.</param>
    /// <param name="arguments">Six.</param>
    public static bool Allows(SeccompFilterRecord filter, int number, uint architecture, ulong instructionPointer, ReadOnlySpan<ulong> arguments) =>
        Answer(filter, number, architecture, instructionPointer, arguments) is SECCOMP_RET_ALLOW or SECCOMP_RET_LOG;

    /// <summary>As <see cref="Allows"/>, or it fails with an error, and nothing else happens.</summary>
    public static bool AllowsOrFails(SeccompFilterRecord filter, int number, uint architecture, ulong instructionPointer, ReadOnlySpan<ulong> arguments) =>
        Whole(filter, number, architecture, instructionPointer, arguments) is var whole
            && ((whole & SECCOMP_RET_ACTION_FULL) is SECCOMP_RET_ALLOW or SECCOMP_RET_LOG || (whole & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO && (whole & SECCOMP_RET_DATA) != 0);

    /// <summary>Whether one of these filters stops a task for its tracer at the call that it makes with these registers, of its entry or of a call that is made again.</summary>
    public static bool IsTold(IEnumerable<SeccompFilterRecord> filters, in UserRegisters r)
    {
        bool compat = Compat.IsIn(r), again = SyscallRestart.NeedsRestartBlock(r);
        int number = again ? compat ? Compat.restart_syscall : (int)Syscall.restart_syscall : (int)r.orig_rax;
        ReadOnlySpan<ulong> arguments = compat ? [(uint)r.rbx, (uint)r.rcx, (uint)r.rdx, (uint)r.rsi, (uint)r.rdi, (uint)r.rbp] : [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9];
        foreach (SeccompFilterRecord filter in filters)
            if (Answer(filter, number, compat ? ArchitectureX86 : ArchitectureX64, r.rip, arguments) == SECCOMP_RET_TRACE) return true;
        return false;
    }

    private static uint Answer(SeccompFilterRecord filter, int number, uint architecture, ulong instructionPointer, ReadOnlySpan<ulong> arguments) =>
        Whole(filter, number, architecture, instructionPointer, arguments) & SECCOMP_RET_ACTION_FULL;

    private static uint Whole(SeccompFilterRecord filter, int number, uint architecture, ulong instructionPointer, ReadOnlySpan<ulong> arguments)
    {
        Span<byte> data = stackalloc byte[DataLength];
        data.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(data, number);
        BinaryPrimitives.WriteUInt32LittleEndian(data[4..], architecture);
        BinaryPrimitives.WriteUInt64LittleEndian(data[8..], instructionPointer);
        for (int i = 0; i < arguments.Length; i++) BinaryPrimitives.WriteUInt64LittleEndian(data[(16 + i * 8)..], arguments[i]);
        return Run(filter.Program, data);
    }

    // The instructions that seccomp takes (kernel/seccomp.c, seccomp_check_filter). Jumps only lead forward, so it ends. 0 (kill) for all else.
    private static uint Run(ReadOnlySpan<byte> program, ReadOnlySpan<byte> data)
    {
        const int Load = 0, LoadIndex = 1, Store = 2, StoreIndex = 3, Compute = 4, Jump = 5, Return = 6; // the class of an instruction: its low 3 bits
        const int ByIndex = 0x08, FromIndex = 0x80; // BPF_X; BPF_TXA
        Span<uint> memory = stackalloc uint[MemoryWords];
        memory.Clear();
        uint accumulator = 0, index = 0;
        for (long at = 0; (at + 1) * SeccompFilterRecord.InstructionSize <= program.Length; at++)
        {
            ReadOnlySpan<byte> instruction = program[(int)(at * SeccompFilterRecord.InstructionSize)..];
            int code = BinaryPrimitives.ReadUInt16LittleEndian(instruction), kind = code & 7;
            uint constant = BinaryPrimitives.ReadUInt32LittleEndian(instruction[4..]), operand = (code & ByIndex) != 0 ? index : constant;
            switch (kind)
            {
                case Load or LoadIndex:
                    if (Loaded(code, constant, data, memory) is not { } value) return 0;
                    if (kind == Load) accumulator = value; else index = value;
                    break;
                case Store or StoreIndex:
                    if (constant >= MemoryWords) return 0;
                    memory[(int)constant] = kind == Store ? accumulator : index;
                    break;
                case Compute:
                    if (Computed(code & 0xf0, accumulator, operand) is not { } result) return 0;
                    accumulator = result;
                    break;
                case Jump:
                    if (Holds(code & 0xf0, accumulator, operand) is not { } holds) at += constant; // BPF_JA
                    else at += holds ? instruction[2] : instruction[3];
                    break;
                case Return:
                    return (code & 0x18) == 0x10 ? accumulator : constant; // BPF_A or BPF_K
                default:
                    if ((code & 0xf8) == FromIndex) accumulator = index; else index = accumulator;
                    break;
            }
        }
        return 0;
    }

    private static uint? Loaded(int code, uint constant, ReadOnlySpan<byte> data, ReadOnlySpan<uint> memory) => (code & 0xe0) switch
    {
        0x00 => constant, // BPF_IMM
        0x20 when constant <= DataLength - 4 => BinaryPrimitives.ReadUInt32LittleEndian(data[(int)constant..]), // BPF_ABS
        0x60 when constant < MemoryWords => memory[(int)constant], // BPF_MEM
        0x80 => DataLength, // BPF_LEN
        _ => null,
    };

    private static uint? Computed(int operation, uint a, uint operand) => operation switch
    {
        0x00 => a + operand,
        0x10 => a - operand,
        0x20 => a * operand,
        0x30 => operand == 0 ? null : a / operand,
        0x40 => a | operand,
        0x50 => a & operand,
        0x60 => a << (int)operand,
        0x70 => a >> (int)operand,
        0x80 => 0 - a,
        0xa0 => a ^ operand,
        _ => null,
    };

    /// <returns>null for a jump without a condition.</returns>
    private static bool? Holds(int operation, uint a, uint operand) => operation switch
    {
        0x10 => a == operand,
        0x20 => a > operand,
        0x30 => a >= operand,
        0x40 => (a & operand) != 0,
        _ => null,
    };
}
