using System.IO.Hashing;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Stasis.Linux;

namespace Stasis.Image;

/// <summary>Reads memory or file content for the page store. Called from several threads at once.</summary>
public interface IPageSource
{
    /// <summary>Fills the buffer from several ranges, one behind the other.</summary>
    void Read(ReadOnlySpan<PageRun> runs, Span<byte> buffer);
}

/// <summary>A run of saved pages: its address (or offset in a shared object), its length, and where it lies in pages.bin. All in bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct SavedRun(ulong Address, ulong Length, ulong FileOffset);

/// <summary>A run of pages that is to be saved, in order of address. <see cref="Shared"/> is the place in pages.bin of the same pages of an earlier area; null for those of its own.</summary>
public readonly record struct PlannedRun(PageRun Run, ulong? Shared)
{
    private readonly ulong _offset;

    /// <summary>Its place in pages.bin.</summary>
    public ulong Offset { get => Shared ?? _offset; init => _offset = value; }
}

/// <summary>Which part of pages.idx belongs to one address space or shared object.</summary>
public sealed record SavedPages(int First, int Count, ulong Bytes);

/// <summary>
/// pages.bin, pages.idx and pages.sum. Pages lie in order of address at offsets fixed beforehand, so that workers need not wait
/// for each other; a page that turns out to be all zero is left out of the index and stays a hole. pages.sum holds one XXH3-64
/// for each chunk of 1 MiB of pages.bin.
/// </summary>
public sealed class PageWriter
{
    public const int ChunkSize = 1024 * 1024;
    private const int PageSize = 4096;
    private readonly List<(IPageSource Source, PlannedRun[] Runs)> _areas = [];
    private ulong _length;

    /// <summary>Plans an area; its number for <see cref="BuildIndex"/>. No content is read yet.</summary>
    public int Plan(IPageSource source, List<PageRun> runs)
    {
        var planned = new PlannedRun[runs.Count];
        for (int i = 0; i < planned.Length; i++) planned[i] = new PlannedRun(runs[i], null);
        return Add(source, planned);
    }

    /// <summary>Plans an area of which some runs are the pages of an earlier one: they are stored once.</summary>
    public int PlanPartly(IPageSource source, IEnumerable<PlannedRun> runs) => Add(source, [.. runs]);

    private int Add(IPageSource source, PlannedRun[] planned)
    {
        for (int i = 0; i < planned.Length; i++)
        {
            if (planned[i].Shared is not null) continue;
            planned[i] = planned[i] with { Offset = _length };
            _length += planned[i].Run.Length;
        }
        _areas.Add((source, planned));
        return _areas.Count - 1;
    }

    /// <summary>The runs of a planned area, each with its place in pages.bin.</summary>
    public IReadOnlyList<PlannedRun> PlannedRuns(int area) => _areas[area].Runs;

    public ulong PlannedBytes => _length;

    private sealed record Piece(IPageSource Source, List<PageRun> Runs, ulong Offset);

    // Cuts the planned runs at chunk boundaries: for each chunk its pieces, each from one source.
    private List<List<Piece>> Chunks()
    {
        List<List<Piece>> chunks = [];
        ulong offset = 0;
        foreach ((IPageSource source, PlannedRun[] runs) in _areas)
        {
            Piece? piece = null;
            foreach (PlannedRun planned in runs)
            {
                if (planned.Shared is not null) continue;
                PageRun run = planned.Run;
                for (ulong start = run.Start; start < run.End;)
                {
                    int chunk = (int)(offset / ChunkSize);
                    while (chunks.Count <= chunk) { chunks.Add([]); piece = null; }
                    if (piece is null) chunks[chunk].Add(piece = new Piece(source, [], offset));
                    ulong length = Math.Min(run.End - start, ChunkSize - offset % ChunkSize);
                    piece.Runs.Add(new PageRun(start, start + length));
                    start += length;
                    offset += length;
                }
            }
        }
        return chunks;
    }

    /// <summary>Reads and writes everything, by as many workers as there are CPUs. Errors: the first worker's.</summary>
    public void Run(int file, Action<long, long>? progress)
    {
        List<List<Piece>> chunks = Chunks();
        _nonZero = new byte[(_length / PageSize) + 1];
        _sums = new ulong[chunks.Count];
        int next = -1;
        long done = 0;
        Workers.Run(Math.Min(Environment.ProcessorCount, Math.Max(1, chunks.Count / 4)), () =>
        {
            byte[] buffer = new byte[ChunkSize];
            while (true)
            {
                int index = Interlocked.Increment(ref next);
                if (index >= chunks.Count) return;
                int length = SaveChunk(file, index, chunks[index], buffer);
                progress?.Invoke(Interlocked.Add(ref done, length), (long)_length);
            }
        });
        Files.Truncate(file, (long)_length).OrThrow("setting the size of pages.bin");
    }

    private byte[] _nonZero = [];
    private ulong[] _sums = [];

    private int SaveChunk(int file, int index, List<Piece> pieces, byte[] buffer)
    {
        ulong start = (ulong)index * ChunkSize;
        int length = 0;
        foreach (Piece piece in pieces)
        {
            int bytes = 0;
            foreach (PageRun run in piece.Runs) bytes += (int)run.Length;
            piece.Source.Read(CollectionsMarshal.AsSpan(piece.Runs), buffer.AsSpan(length, bytes));
            length += bytes;
        }
        _sums[index] = XxHash3.HashToUInt64(buffer.AsSpan(0, length));
        // Write what is not zero in as few writes as the holes allow.
        int pending = -1;
        for (int at = 0; at <= length; at += PageSize)
        {
            bool keep = at < length && !ContentHash.IsZero(buffer.AsSpan(at, PageSize));
            if (keep)
            {
                _nonZero[(start + (ulong)at) / PageSize] = 1;
                if (pending < 0) pending = at;
            }
            else if (pending >= 0)
            {
                Files.WriteAllAt(file, buffer.AsSpan(pending, at - pending), (long)start + pending).OrThrow("write of pages.bin");
                pending = -1;
            }
        }
        return length;
    }

    /// <summary>After <see cref="Run"/>: the index of all areas, and for each area its part.</summary>
    public (SavedRun[] Index, SavedPages[] Areas) BuildIndex()
    {
        List<SavedRun> index = [];
        var areas = new SavedPages[_areas.Count];
        for (int i = 0; i < _areas.Count; i++)
        {
            int first = index.Count;
            ulong bytes = 0;
            foreach (PlannedRun planned in _areas[i].Runs)
            {
                PageRun run = planned.Run;
                ulong offset = planned.Offset;
                for (ulong at = run.Start; at < run.End; at += PageSize, offset += PageSize)
                {
                    if (_nonZero[offset / PageSize] == 0) continue;
                    bytes += PageSize;
                    if (index.Count > first && index[^1] is var last && last.Address + last.Length == at && last.FileOffset + last.Length == offset)
                        index[^1] = last with { Length = last.Length + PageSize };
                    else index.Add(new SavedRun(at, PageSize, offset));
                }
            }
            areas[i] = new SavedPages(first, index.Count - first, bytes);
        }
        return ([.. index], areas);
    }

    public ReadOnlySpan<byte> Sums => MemoryMarshal.AsBytes(_sums.AsSpan());
}

/// <summary>The page store of an image that is read. Errors: <see cref="BadImage"/>.</summary>
public sealed class PageReader
{
    private readonly SavedRun[] _index;
    private readonly ulong[] _sums;
    private readonly ImageReader _image;

    public PageReader(ImageReader image)
    {
        _image = image;
        byte[] index = image.ReadBytes("pages.idx"), sums = image.ReadBytes("pages.sum");
        Length = image.LengthOf("pages.bin");
        if (index.Length % Unsafe.SizeOf<SavedRun>() != 0) throw new BadImage("pages.idx ends within a run");
        _index = MemoryMarshal.Cast<byte, SavedRun>(index).ToArray();
        _sums = MemoryMarshal.Cast<byte, ulong>(sums).ToArray();
        if (_sums.LongLength != (Length + PageWriter.ChunkSize - 1) / PageWriter.ChunkSize) throw new BadImage("pages.sum does not fit pages.bin");
        foreach (SavedRun run in _index)
        {
            if ((run.Address | run.Length | run.FileOffset) % 4096 != 0 || run.Length == 0 || run.FileOffset > (ulong)Length || run.Length > (ulong)Length - run.FileOffset
                || run.Address + run.Length < run.Address)
                throw new BadImage("pages.idx points outside of pages.bin");
        }
    }

    public long Length { get; }
    public string Path => _image.PathOf("pages.bin");

    public ReadOnlySpan<SavedRun> Of(SavedPages pages)
    {
        if (pages.First < 0 || pages.Count < 0 || pages.First > _index.Length || pages.Count > _index.Length - pages.First) throw new BadImage("a record points outside of pages.idx");
        return _index.AsSpan(pages.First, pages.Count);
    }

    /// <summary>Compares every chunk of pages.bin with pages.sum, on all CPUs but <paramref name="spare"/>.</summary>
    public void Verify(int spare = 0)
    {
        using var file = new DescriptorHandle(Files.Open(Path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor("open of pages.bin"));
        int next = -1;
        Workers.Run(Math.Max(1, Math.Min(Environment.ProcessorCount - spare, _sums.Length / 4)), () =>
        {
            byte[] buffer = new byte[PageWriter.ChunkSize];
            while (true)
            {
                int index = Interlocked.Increment(ref next);
                if (index >= _sums.Length) return;
                long offset = (long)index * PageWriter.ChunkSize;
                int length = (int)Math.Min(PageWriter.ChunkSize, Length - offset), filled = 0;
                while (filled < length)
                {
                    long read = Files.ReadAt(file.Number, buffer.AsSpan(filled, length - filled), offset + filled).OrThrow("read of pages.bin");
                    if (read == 0) throw new BadImage("pages.bin was cut");
                    filled += (int)read;
                }
                if (XxHash3.HashToUInt64(buffer.AsSpan(0, length)) != _sums[index])
                    throw new BadImage($"pages.bin of the image {_image.Directory} is not what was written: the hash of chunk {index} differs");
            }
        });
    }
}

/// <summary>A few threads of our own for page I/O: none of them touches ptrace.</summary>
public static class Workers
{
    public static void Run(int count, Action work)
    {
        Exception? failure = null;
        void Guarded()
        {
            try { work(); }
            catch (Exception error) { Interlocked.CompareExchange(ref failure, error, null); }
        }
        Thread[] threads = [.. Enumerable.Range(1, Math.Max(0, count - 1)).Select(_ => new Thread(Guarded, 512 * 1024) { IsBackground = true })];
        foreach (Thread thread in threads) thread.Start();
        Guarded();
        foreach (Thread thread in threads) thread.Join();
        if (failure is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }
}
