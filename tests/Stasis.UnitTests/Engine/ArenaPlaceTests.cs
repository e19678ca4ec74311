using Stasis.Engine.Restart;
using Stasis.Image;
using Stasis.Remote;
using Stasis.State.Processes;

namespace Stasis.UnitTests.Engine;

public sealed class ArenaPlaceTests
{
    private const ulong Mebi = 1024 * 1024;

    // The root keeps the sample's layout: an arena must fit into all layouts at once.
    private static ulong Find(params (ulong Start, ulong End)[] mappings)
    {
        Stasis.Engine.LoadedImage image = SampleImage.Good.WithLayout(mappings).Load();
        Arena arena = ArenaPlace.Find(image);
        Assert.Equal(0ul, arena.Base % 4096);
        Assert.True(arena.Base >= 0x10000 && arena.Base + Arena.LengthWithStub < 0x7fffffff0000);
        foreach (ProcessRecord process in image.Living)
            foreach (Stasis.State.Memory.MappingRecord mapping in process.Mappings)
                Assert.True(mapping.End <= arena.Base || mapping.Start >= arena.Base + Arena.LengthWithStub + 2 * Mebi, $"{arena.Base:x} is too near to {mapping.Start:x}-{mapping.End:x}");
        return arena.Base;
    }

    [Fact]
    public void An_ordinary_layout_leaves_the_first_place() => Assert.Equal(0x10000000ul, Find((0x400000, 0x500000), (0x7f0000000000, 0x7f0000100000)));

    [Fact]
    public void A_program_in_the_first_place_moves_it() => Assert.True(Find((0x10000000, 0x10001000)) > 0x10001000);

    [Theory]
    [InlineData(0x10000000ul - 0x1000)]
    [InlineData(0x10000000ul + Arena.LengthWithStub)]
    [InlineData(0x10000000ul + Arena.LengthWithStub + Mebi)]
    [InlineData(0x10000000ul + Arena.LengthWithStub + 2 * Mebi - 0x1000)]
    [InlineData(0x10000000ul + Arena.LengthWithStub + 2 * Mebi)]
    public void A_mapping_near_by_keeps_its_distance(ulong start) => Find((start, start + 0x1000));

    [Fact]
    public void A_gap_that_is_too_small_is_passed_over() =>
        Assert.True(Find((0x10000000, 0x20000000), (0x20100000, 0x30000000), (0x30200000, 0x40000000)) > 0x40000000);

    [Fact]
    public void A_space_full_up_to_the_stack_is_refused() => Assert.Throws<BadImage>(() => Find((0x10000000, 0x7ffff0000000)));

    [Fact]
    public void A_gap_in_the_middle_of_a_full_space_is_found() => Assert.InRange(Find((0x1000000, 0x500000000), (0x500000000 + 16 * Mebi, 0x7f0000000000)), 0x500000000ul, 0x500000000 + 16 * Mebi);

    [Fact]
    public void Random_layouts()
    {
        Random random = new(5);
        for (int round = 0; round < 30; round++)
        {
            List<(ulong, ulong)> mappings = [];
            ulong at = 0x8000000;
            for (int i = random.Next(40); i > 0; i--)
            {
                ulong start = at + (ulong)random.Next(0, 2000) * 4096, end = start + (ulong)random.Next(1, 4000) * 4096;
                mappings.Add((start, end));
                at = end;
            }
            Find([.. mappings]);
        }
    }
}
