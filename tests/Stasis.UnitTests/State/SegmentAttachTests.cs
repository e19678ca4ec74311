using Stasis.State.Memory;
using Stasis.State.SystemV;

namespace Stasis.UnitTests.State;

public sealed class SegmentAttachTests
{
    private static MappingRecord Piece(int segment, ulong start, ulong end, ulong offset) => new()
    {
        Start = start,
        End = end,
        Offset = offset,
        Object = segment,
        Kind = MappingKind.Segment,
        Shared = true,
        Protection = 3,
    };

    [Fact]
    public void Pieces_of_one_attach_have_one_base()
    {
        MappingRecord[] mappings = [Piece(7, 0x10000, 0x11000, 0), Piece(7, 0x12000, 0x14000, 0x2000), Piece(7, 0x20000, 0x24000, 0), Piece(8, 0x30000, 0x31000, 0x1000)];
        List<SegmentAttach> attaches = SegmentAttach.Of(mappings);
        Assert.Equal([(7, 0x10000ul, 2), (7, 0x20000ul, 1), (8, 0x2f000ul, 1)], attaches.Select(a => (a.Segment, a.Base, a.Pieces.Count)));
    }

    [Fact]
    public void Room_is_whole_pages()
    {
        Assert.Equal((0x1000ul, 0x1000ul, 0x2000ul), (SegmentAttach.Room(1, 0), SegmentAttach.Room(0x1000, 0), SegmentAttach.Room(0x1001, 0)));
        Assert.Equal((0x200000ul, 0x400000ul), (SegmentAttach.Room(0x200000, 0x200000), SegmentAttach.Room(0x200001, 0x200000)));
    }

    [Fact]
    public void Other_memory_in_the_place_of_a_part_that_was_unmapped_is_seen()
    {
        SegmentAttach attach = Assert.Single(SegmentAttach.Of([Piece(7, 0x10000, 0x11000, 0)]));
        Assert.False(attach.IsOverlaid(SegmentAttach.Room(0x3001, 0), [(0x10000, 0x11000), (0x14000, 0x15000), (0xf000, 0x10000)]));
        Assert.True(attach.IsOverlaid(SegmentAttach.Room(0x3001, 0), [(0x10000, 0x11000), (0x13000, 0x14000)]));
        Assert.True(attach.IsOverlaid(SegmentAttach.Room(0x1001, 0), [(0x10000, 0x11000), (0x11000, 0x12000)]));
    }
}
