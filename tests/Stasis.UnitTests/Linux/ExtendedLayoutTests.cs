using System.Buffers.Binary;
using Stasis.Linux;

namespace Stasis.UnitTests.Linux;

public sealed class ExtendedLayoutTests
{
    private const int X87 = 0, Sse = 1, Avx = 2, Opmask = 5, Upper = 6, Pkru = 9, Tiles = 18;

    // As CPUID leaf 0xd told it on an Intel Sapphire Rapids, and closely packed, as AMD does (without room for the MPX that it never had).
    private static readonly ExtendedPlace[] s_intel = [new(Avx, 576, 256), new(Opmask, 1088, 64), new(Upper, 1152, 512), new(Pkru, 2688, 8), new(Tiles, 2816, 8192)];
    private static readonly ExtendedPlace[] s_amd = [new(Avx, 576, 256), new(Opmask, 832, 64), new(Upper, 896, 512), new(Pkru, 2432, 8)];
    private static readonly ExtendedLayout s_onIntel = new(s_intel), s_onAmd = new(s_amd);

    [Theory]
    [InlineData(new int[0], 576)]
    [InlineData(new[] { X87, Sse }, 576)]
    [InlineData(new[] { Avx }, 832)]
    [InlineData(new[] { Avx, Opmask }, 1152)]
    [InlineData(new[] { Pkru }, 2696)]
    [InlineData(new[] { Tiles }, 11008)]
    public void A_frame_ends_behind_the_last_component_in_use(int[] inUse, int length) => Assert.Equal(length, s_onIntel.UsedLength(Area(11008, inUse)));

    [Fact]
    public void A_component_without_a_place_takes_the_whole() => Assert.Equal(2696, s_onAmd.UsedLength(Area(2696, Tiles)));

    [Fact]
    public void No_frame_is_longer_than_its_area() => Assert.Equal(832, s_onIntel.UsedLength(Area(832, Avx, Pkru)));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Each_component_in_use_moves_to_where_the_other_has_it(bool toAmd)
    {
        (ExtendedPlace[] from, ExtendedPlace[] to) = toAmd ? (s_intel, s_amd) : (s_amd, s_intel);
        byte[] area = Area(11008, Sse, Avx, Opmask, Pkru);
        for (int i = 0; i < 512; i++) area[i] = (byte)(i * 7);
        foreach (ExtendedPlace place in from) area.AsSpan(place.Offset, place.Length).Fill((byte)place.Component);
        byte[] moved = new ExtendedLayout(from).Move(area, new ExtendedLayout(to), 11008);
        byte[] expected = new byte[11008];
        area.AsSpan(0, ExtendedLayout.LegacyAndHeader).CopyTo(expected);
        foreach (ExtendedPlace place in to.Where(place => place.Component is Avx or Opmask or Pkru)) expected.AsSpan(place.Offset, place.Length).Fill((byte)place.Component);
        Assert.Equal(expected, moved);
    }

    [Fact]
    public void What_the_other_has_no_room_for_is_named()
    {
        Assert.Equal(1ul << Tiles, s_onIntel.Immovable(Area(11008, Avx, Pkru, Tiles), s_onAmd));
        Assert.Equal(0ul, s_onIntel.Immovable(Area(11008, Avx, Pkru), s_onAmd));
        Assert.Equal(1ul << Pkru, s_onIntel.Immovable(Area(11008, Avx, Pkru), new ExtendedLayout([new(Avx, 576, 256), new(Pkru, 832, 16)])));
        Assert.Equal(1ul << Opmask, new ExtendedLayout([new(Avx, 576, 256)]).Immovable(Area(832, Opmask), s_onIntel));
    }

    [Theory]
    [InlineData(0x1f80u, 0xffffu, 0u)]
    [InlineData(0x21f80u, 0xffffu, 0x20000u)] // AMD's misaligned SSE
    [InlineData(0x21f80u, 0x2ffffu, 0u)]
    [InlineData(0x1fc0u, 0u, 0x40u)] // a CPU without denormals-are-zeros tells no mask
    public void Bits_of_mxcsr_that_a_cpu_lacks_are_named(uint mxcsr, uint mask, uint unknown)
    {
        byte[] area = new byte[576], here = new byte[576];
        BinaryPrimitives.WriteUInt32LittleEndian(area.AsSpan(24), mxcsr);
        BinaryPrimitives.WriteUInt32LittleEndian(here.AsSpan(28), mask);
        Assert.Equal(unknown, ExtendedLayout.UnknownMxcsr(area, here));
    }

    [Fact]
    public void This_cpu_has_avx_where_every_cpu_has_it() =>
        Assert.Equal(System.Runtime.Intrinsics.X86.Avx.IsSupported ? [new ExtendedPlace(Avx, 576, 256)] : [], ExtendedLayout.Here.Of(1 << Avx));

    private static byte[] Area(int length, params int[] inUse)
    {
        byte[] area = new byte[length];
        BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(512), inUse.Aggregate(0ul, (all, component) => all | 1ul << component));
        return area;
    }
}
