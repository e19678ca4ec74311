using Stasis.Image;
using Stasis.Linux;
using Stasis.State.Memory;

namespace Stasis.State.SystemV;

/// <summary>Content of a segment through a descriptor of its file, which it owns: also what lies behind its size in the last page.</summary>
public sealed class SegmentPages(DescriptorHandle file, long size) : IPageSource, IDisposable
{
    private readonly ObjectPages _file = new(file);

    public List<PageRun> DataRuns() => _file.DataRuns(size);

    public void Read(ReadOnlySpan<PageRun> runs, Span<byte> buffer)
    {
        _file.Read(runs, buffer);
        if (size % (long)PageScan.PageSize == 0 || runs[^1].End <= (ulong)size) return;
        // A file ends at its size, its memory at the end of the page.
        SharedMemory.CopyPage(file.Number, size & ~((long)PageScan.PageSize - 1), buffer[^(int)PageScan.PageSize..]);
    }

    public void Dispose() => _file.Dispose();
}
