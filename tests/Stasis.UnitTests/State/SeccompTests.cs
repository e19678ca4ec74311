using System.Buffers.Binary;
using Stasis.State.Seccomp;

namespace Stasis.UnitTests.State;

public sealed class SeccompTests
{
    private const ushort BPF_LD_W_ABS = 0x20, BPF_LD_IMM = 0x00, BPF_RET_K = 0x06, BPF_RET_A = 0x16;
    private const uint Allow = 0x7fff0000, Notify = 0x7fc00000;

    private static SeccompFilterRecord Filter(params (ushort Code, uint Constant)[] instructions)
    {
        byte[] program = new byte[instructions.Length * SeccompFilterRecord.InstructionSize];
        for (int i = 0; i < instructions.Length; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(program.AsSpan(i * 8), instructions[i].Code);
            BinaryPrimitives.WriteUInt32LittleEndian(program.AsSpan(i * 8 + 4), instructions[i].Constant);
        }
        return new SeccompFilterRecord(0, program);
    }

    [Fact]
    public void A_filter_that_asks_a_supervisor_is_known_by_what_it_returns()
    {
        Assert.True(SeccompCapture.Notifies(Filter((BPF_RET_K, Allow), (BPF_RET_K, Notify))));
        Assert.True(SeccompCapture.Notifies(Filter((BPF_LD_IMM, Notify | 5), (BPF_RET_A, 0))));
    }

    [Fact]
    public void A_filter_that_only_compares_with_that_number_asks_nobody()
    {
        Assert.False(SeccompCapture.Notifies(Filter((BPF_LD_W_ABS, 0), (BPF_RET_K, Allow))));
        Assert.False(SeccompCapture.Notifies(Filter((BPF_LD_IMM, Notify), (BPF_RET_K, Allow))));
    }
}
