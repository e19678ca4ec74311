using Stasis.Image;

namespace Stasis.UnitTests.Image;

public sealed class ContentHashTests
{
    private static byte[] Random(int length, int seed = 1)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static string Hash(params (long Offset, byte[] Bytes)[] pieces)
    {
        var hash = new ContentHash();
        foreach ((long offset, byte[] bytes) in pieces) hash.Add(offset, bytes);
        return hash.Finish();
    }

    [Fact]
    public void Pieces_hash_as_the_whole()
    {
        byte[] whole = Random(5 * 4096 + 100);
        Assert.Equal(Hash((0, whole)), Hash((0, whole[..4096]), (4096, whole[4096..(4 * 4096)]), (4 * 4096, whole[(4 * 4096)..])));
    }

    [Fact]
    public void Holes_cost_nothing_and_change_nothing()
    {
        byte[] page = Random(4096);
        byte[] sparse = [.. new byte[8192], .. page, .. new byte[4096]];
        Assert.Equal(Hash((0, sparse)), Hash((8192, page)));
        Assert.Equal(Hash(), Hash((0, new byte[1 << 20])));
    }

    [Fact]
    public void Place_and_content_both_count()
    {
        byte[] page = Random(4096), other = Random(4096, 2);
        Assert.Equal(4, ((string[])[Hash((0, page)), Hash((4096, page)), Hash((0, other)), Hash((0, page), (4096, page))]).Distinct().Count());
        Assert.NotEqual(Hash((0, page[..100])), Hash((0, page[..101])));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(4095)]
    public void One_byte_is_enough_not_to_be_zero(int at)
    {
        byte[] page = new byte[4096];
        Assert.True(ContentHash.IsZero(page));
        page[at] = 1;
        Assert.False(ContentHash.IsZero(page));
    }

    [Fact]
    public void Nothing_is_zero() => Assert.True(ContentHash.IsZero([]));

    [Fact]
    public void Hashes_are_32_hex_digits() => Assert.Matches("^[0-9a-f]{32}$", ContentHash.Of([1, 2, 3]));
}
