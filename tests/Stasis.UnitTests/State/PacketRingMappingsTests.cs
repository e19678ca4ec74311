using Stasis.State.Descriptors.PacketSocket;
using Xunit;

namespace Stasis.UnitTests.State;

public sealed class PacketRingMappingsTests
{
    [Theory]
    [InlineData(0ul, "a000-e000 at 0")]
    [InlineData(0x1000ul, "a000-b000 at 3000", "b000-e000 at 0")]
    [InlineData(0x3000ul, "a000-d000 at 1000", "d000-e000 at 0")]
    public void A_whole_ring_is_turned(ulong from, params string[] pieces) =>
        Assert.Equal(pieces, Words(0xa000, 0xe000, 0, from));

    // What a restart has made, turned once more.
    [Fact]
    public void The_pieces_of_a_turned_ring_are_turned()
    {
        Assert.Equal(["a000-d000 at 0"], Words(0xa000, 0xd000, 0x1000, 0x1000));
        Assert.Equal(["d000-e000 at 3000"], Words(0xd000, 0xe000, 0, 0x1000));
        Assert.Equal(["a000-c000 at 2000", "c000-d000 at 0"], Words(0xa000, 0xd000, 0, 0x2000));
    }

    [Fact]
    public void A_part_that_is_left_is_turned() => Assert.Equal(["b000-c000 at 3000", "c000-d000 at 0"], Words(0xb000, 0xd000, 0x1000, 0x2000));

    private static string[] Words(ulong start, ulong end, ulong offset, ulong from) =>
        [.. PacketRingMappings.Turned(start, end, offset, from, 0x4000).Select(piece => $"{piece.Start:x}-{piece.End:x} at {piece.Offset:x}")];
}
