using System.Buffers.Binary;
using Stasis.State.Seccomp;

namespace Stasis.UnitTests.State;

public sealed class FilterVerdictTests
{
    private const uint Kill = 0, Allow = 0x7fff0000, Log = 0x7ffc0000, Errno = 0x50001, UserNotification = 0x7fc00000;
    private const int LoadNumber = 0, LoadArchitecture = 4, LoadAddressLow = 8, LoadFirstArgumentLow = 16;

    private static byte[] Instruction(ushort code, uint constant, byte whenTrue = 0, byte whenFalse = 0)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, code);
        (bytes[2], bytes[3]) = (whenTrue, whenFalse);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), constant);
        return bytes;
    }

    private static byte[] Load(int offset) => Instruction(0x20, (uint)offset);
    private static byte[] Return(uint action) => Instruction(0x06, action);
    private static byte[] SkipUnless(uint constant, byte skipped) => Instruction(0x15, constant, 0, skipped);

    private static bool Allows(params byte[][] program) =>
        FilterVerdict.Allows(new SeccompFilterRecord(0, [.. program.SelectMany(one => one)]), 219, FilterVerdict.ArchitectureX64, 0x7f0000001234, [11, 12, 13, 14, 15, 16]);

    [Theory]
    [InlineData(Allow, true)]
    [InlineData(Log, true)]
    [InlineData(Kill, false)]
    [InlineData(Errno, false)]
    [InlineData(UserNotification, false)]
    public void An_answer(uint action, bool allows) => Assert.Equal(allows, Allows(Return(action)));

    [Theory]
    [InlineData(LoadNumber, 219u, true)]
    [InlineData(LoadNumber, 35u, false)]
    [InlineData(LoadArchitecture, FilterVerdict.ArchitectureX64, true)]
    [InlineData(LoadArchitecture, FilterVerdict.ArchitectureX86, false)]
    [InlineData(LoadAddressLow, 0x1234u, true)]
    [InlineData(LoadFirstArgumentLow, 11u, true)]
    [InlineData(LoadFirstArgumentLow + 5 * 8, 16u, true)]
    [InlineData(LoadFirstArgumentLow + 5 * 8 + 4, 0u, true)]
    public void What_it_looks_at(int offset, uint wanted, bool allows) => Assert.Equal(allows, Allows(Load(offset), SkipUnless(wanted, 1), Return(Allow), Return(Kill)));

    [Fact]
    public void It_computes() // (219 ^ 0xff) << 2, over its memory and its index, is 144
        => Assert.True(Allows(Load(LoadNumber), Instruction(0xa4, 0xff), Instruction(0x02, 3), Instruction(0x61, 3), Instruction(0x00, 0), Instruction(0x87, 0), Instruction(0x64, 2),
            Instruction(0x35, 145, 1, 0), SkipUnless(144, 1), Return(Allow), Return(Kill)));

    [Fact]
    public void It_answers_what_it_has_computed() => Assert.True(Allows(Instruction(0x00, Allow), Instruction(0x16, 0)));

    [Fact]
    public void It_jumps() => Assert.True(Allows(Instruction(0x05, 1), Return(Kill), Return(Allow)));

    [Fact]
    public void What_no_kernel_takes_lets_nothing_through()
    {
        Assert.False(Allows());
        Assert.False(Allows(Load(64), Return(Allow)));
        Assert.False(Allows(Load(LoadNumber)));
        Assert.False(Allows(Instruction(0x05, uint.MaxValue), Return(Allow)));
        Assert.False(Allows(Instruction(0x34, 0), Return(Allow)));
        Assert.False(Allows(Instruction(0x60, 16), Return(Allow)));
    }
}
