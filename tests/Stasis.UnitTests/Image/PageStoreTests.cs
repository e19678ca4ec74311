using System.Runtime.InteropServices;
using Stasis.Image;
using Stasis.Linux;

namespace Stasis.UnitTests.Image;

public sealed class PageStoreTests : IDisposable
{
    private const int Page = 4096;
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>Pages with a content that follows from their address; those that <paramref name="zero"/> names are all zero.</summary>
    private sealed class Pattern(Func<ulong, bool> zero) : IPageSource
    {
        public static void Fill(ulong address, Span<byte> page) => new Random((int)(address / Page)).NextBytes(page);

        public void Read(ReadOnlySpan<PageRun> runs, Span<byte> buffer)
        {
            int at = 0;
            foreach (PageRun run in runs)
                for (ulong page = run.Start; page < run.End; page += Page, at += Page)
                    if (zero(page)) buffer.Slice(at, Page).Clear(); else Fill(page, buffer.Slice(at, Page));
            Assert.Equal(buffer.Length, at);
        }
    }

    private (PageReader Reader, SavedPages[] Areas) Save(params (IPageSource Source, List<PageRun> Runs)[] areas)
    {
        var writer = new PageWriter();
        foreach ((IPageSource source, List<PageRun> runs) in areas) writer.Plan(source, runs);
        using (var file = new DescriptorHandle(Files.Open(_directory["pages.bin"], OpenFlags.O_RDWR | OpenFlags.O_CREAT, 0x180).OrThrowDescriptor("open"))) writer.Run(file.Number, null);
        (SavedRun[] index, SavedPages[] saved) = writer.BuildIndex();
        Assert.Equal((long)writer.PlannedBytes, new FileInfo(_directory["pages.bin"]).Length);
        Seal(MemoryMarshal.AsBytes(index.AsSpan()).ToArray(), writer.Sums.ToArray());
        return (new PageReader(new ImageReader(_directory.Path)), saved);
    }

    private void Seal(byte[] index, byte[] sums) => ImageSeal.Write(_directory.Path,
        new Dictionary<string, byte[]> { ["pages.idx"] = index, ["pages.sum"] = sums, ["pages.bin"] = File.Exists(_directory["pages.bin"]) ? File.ReadAllBytes(_directory["pages.bin"]) : [] });

    private void CheckArea(PageReader reader, SavedPages saved, List<PageRun> runs, Func<ulong, bool> zero)
    {
        Dictionary<ulong, byte[]> found = [];
        byte[] content = File.ReadAllBytes(reader.Path);
        foreach (SavedRun run in reader.Of(saved))
            for (ulong done = 0; done < run.Length; done += Page) found.Add(run.Address + done, content.AsSpan((int)(run.FileOffset + done), Page).ToArray());
        List<ulong> wanted = [.. runs.SelectMany(run => Enumerable.Range(0, (int)(run.Length / Page)).Select(i => run.Start + (ulong)i * Page)).Where(page => !zero(page))];
        Assert.Equal(wanted, found.Keys);
        byte[] expected = new byte[Page];
        foreach (ulong page in wanted)
        {
            Pattern.Fill(page, expected);
            Assert.True(found[page].AsSpan().SequenceEqual(expected), $"page {page:x} differs");
        }
        Assert.Equal((ulong)wanted.Count * Page, saved.Bytes);
    }

    private static bool None(ulong page) => false;
    private static bool Some(ulong page) => page / Page % 3 == 0;

    [Fact]
    public void Nothing_is_stored_of_nothing()
    {
        (PageReader reader, SavedPages[] areas) = Save((new Pattern(None), []));
        Assert.Equal((0L, new SavedPages(0, 0, 0)), (reader.Length, areas[0]));
        reader.Verify();
    }

    [Fact]
    public void Pages_of_an_earlier_area_are_stored_once()
    {
        var writer = new PageWriter();
        var pattern = new Pattern(Some);
        int first = writer.Plan(pattern, [new(0x10000, 0x18000)]);
        ulong place = writer.PlannedRuns(first)[0].Offset;
        writer.PlanPartly(pattern, (PlannedRun[])[new(new(0x10000, 0x12000), place), new(new(0x12000, 0x13000), null), new(new(0x14000, 0x17000), place + 0x4000)]);
        Assert.Equal(0x9000ul, writer.PlannedBytes);
        using (var file = new DescriptorHandle(Files.Open(_directory["pages.bin"], OpenFlags.O_RDWR | OpenFlags.O_CREAT, 0x180).OrThrowDescriptor("open"))) writer.Run(file.Number, null);
        (SavedRun[] index, SavedPages[] saved) = writer.BuildIndex();
        Seal(MemoryMarshal.AsBytes(index.AsSpan()).ToArray(), writer.Sums.ToArray());
        var reader = new PageReader(new ImageReader(_directory.Path));
        CheckArea(reader, saved[0], [new(0x10000, 0x18000)], Some);
        CheckArea(reader, saved[1], [new(0x10000, 0x13000), new(0x14000, 0x17000)], Some);
        reader.Verify();
    }

    [Fact]
    public void Areas_come_back_each_with_its_own()
    {
        List<PageRun> one = [new(0x10000, 0x13000), new(0x20000, 0x21000)], two = [new(0x10000, 0x18000)], all = [new(0x7fff00000000, 0x7fff00004000)];
        (PageReader reader, SavedPages[] areas) = Save((new Pattern(None), one), (new Pattern(Some), two), (new Pattern(_ => true), all));
        CheckArea(reader, areas[0], one, None);
        CheckArea(reader, areas[1], two, Some);
        CheckArea(reader, areas[2], all, _ => true);
        reader.Verify();
    }

    [Fact]
    public void Areas_that_cross_chunks_come_back()
    {
        const ulong Chunk = PageWriter.ChunkSize;
        List<PageRun> one = [new(0x1000, 0x1000 + Chunk - 3 * Page)], two = [new(0x40000000, 0x40000000 + 2 * Chunk + 5 * Page), new(0x50000000, 0x50000000 + 7 * Page)], three = [new(0x60000000, 0x60000000 + Chunk)];
        (PageReader reader, SavedPages[] areas) = Save((new Pattern(None), one), (new Pattern(Some), two), (new Pattern(None), three));
        CheckArea(reader, areas[0], one, None);
        CheckArea(reader, areas[1], two, Some);
        CheckArea(reader, areas[2], three, None);
        reader.Verify();
    }

    [Fact]
    public void Scattered_pages_come_back()
    {
        Random random = new(4);
        List<PageRun> runs = [];
        for (ulong at = Page; runs.Count < 300; at = runs[^1].End + (ulong)random.Next(1, 5) * Page) runs.Add(new PageRun(at, at + (ulong)random.Next(1, 4) * Page));
        (PageReader reader, SavedPages[] areas) = Save((new Pattern(Some), runs));
        CheckArea(reader, areas[0], runs, Some);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(PageWriter.ChunkSize - 1)]
    [InlineData(PageWriter.ChunkSize)]
    [InlineData(PageWriter.ChunkSize + 3 * Page)]
    public void One_changed_byte_is_found(int at)
    {
        (PageReader reader, _) = Save((new Pattern(None), [new PageRun(0x1000, 0x1000 + PageWriter.ChunkSize + 4 * Page)]));
        byte[] content = File.ReadAllBytes(reader.Path);
        content[at] ^= 0xff;
        File.WriteAllBytes(reader.Path, content);
        Assert.Contains($"chunk {at / PageWriter.ChunkSize}", Assert.Throws<BadImage>(() => reader.Verify()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_cut_after_it_was_opened_is_found()
    {
        (PageReader reader, _) = Save((new Pattern(None), [new PageRun(0x1000, 0x9000)]));
        File.WriteAllBytes(reader.Path, new byte[Page]);
        Assert.Throws<BadImage>(() => reader.Verify());
    }

    private PageReader Read(SavedRun[] index, int sums = 1)
    {
        File.WriteAllBytes(_directory["pages.bin"], new byte[4 * Page]);
        Seal(MemoryMarshal.AsBytes(index.AsSpan()).ToArray(), new byte[sums * 8]);
        return new PageReader(new ImageReader(_directory.Path));
    }

    [Theory]
    [InlineData(0x1001ul, 0x1000ul, 0ul)]
    [InlineData(0x1000ul, 0x1001ul, 0ul)]
    [InlineData(0x1000ul, 0x1000ul, 1ul)]
    [InlineData(0x1000ul, 0ul, 0ul)]
    [InlineData(0x1000ul, 0x5000ul, 0ul)]
    [InlineData(0x1000ul, 0x1000ul, 0x4000ul)]
    [InlineData(0x1000ul, 0x2000ul, 0x3000ul)]
    [InlineData(0x1000ul, 0x1000ul, 0x8000000000000000ul)]
    [InlineData(0x1000ul, 0xfffffffffffff000ul, 0x1000ul)]
    [InlineData(0x1000ul, 0x1000ul, 0xfffffffffffff000ul)]
    [InlineData(0xfffffffffffff000ul, 0x2000ul, 0ul)]
    [InlineData(ulong.MaxValue, ulong.MaxValue, ulong.MaxValue)]
    public void A_run_that_no_writer_writes_is_refused(ulong address, ulong length, ulong offset) =>
        Assert.Throws<BadImage>(() => Read([new SavedRun(0x1000, 0x1000, 0), new SavedRun(address, length, offset)]));

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(1000)]
    public void Sums_that_do_not_fit_are_refused(int sums) => Assert.Throws<BadImage>(() => Read([], sums));

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(0, 3)]
    [InlineData(2, 1)]
    [InlineData(3, 0)]
    [InlineData(1, int.MaxValue)]
    [InlineData(int.MaxValue, 1)]
    [InlineData(int.MinValue, int.MinValue)]
    public void A_part_outside_of_the_index_is_refused(int first, int count)
    {
        PageReader reader = Read([new SavedRun(0x1000, 0x1000, 0), new SavedRun(0x2000, 0x1000, 0x1000)]);
        Assert.Throws<BadImage>(() => reader.Of(new SavedPages(first, count, 0)).Length);
    }

    [Fact]
    public void An_index_with_half_a_run_is_refused()
    {
        File.WriteAllBytes(_directory["pages.bin"], new byte[4 * Page]);
        SavedRun[] one = [new(0x1000, 0x1000, 0)];
        Seal([.. MemoryMarshal.AsBytes(one.AsSpan()), 0], new byte[8]);
        Assert.Throws<BadImage>(() => new PageReader(new ImageReader(_directory.Path)));
    }

    [Theory]
    [InlineData("pages.bin")]
    [InlineData("pages.idx")]
    [InlineData("pages.sum")]
    public void A_store_that_the_manifest_does_not_list_whole_is_refused(string missing)
    {
        Read([]);
        ImageSeal.EditManifest(_directory.Path, manifest => manifest["files"]!.AsArray().RemoveAll(file => (string?)file!["name"] == missing));
        Assert.Throws<BadImage>(() => new PageReader(new ImageReader(_directory.Path)));
    }
}
