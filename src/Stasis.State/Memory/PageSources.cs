using Stasis.Image;
using Stasis.Linux;

namespace Stasis.State.Memory;

/// <summary>Pages of a frozen process.</summary>
public sealed class ProcessPages(int pid) : IPageSource
{
    public void Read(ReadOnlySpan<PageRun> runs, Span<byte> buffer) => ProcessRanges.Read(pid, runs, buffer);
}

/// <summary>Content of a shared object through a descriptor of ours, which it owns.</summary>
public sealed class ObjectPages(DescriptorHandle file) : IPageSource, IDisposable
{
    public void Read(ReadOnlySpan<PageRun> runs, Span<byte> buffer)
    {
        int filled = 0;
        foreach (PageRun run in runs)
        {
            Span<byte> part = buffer.Slice(filled, (int)run.Length);
            int got = 0;
            while (got < part.Length)
            {
                long read = Files.ReadAt(file.Number, part[got..], (long)run.Start + got).OrThrow("read of a shared object");
                if (read == 0) break; // the last page of a file is filled up with zeros
                got += (int)read;
            }
            part[got..].Clear();
            filled += part.Length;
        }
    }

    /// <summary>Where the object has data, in whole pages (lseek SEEK_DATA, SEEK_HOLE).</summary>
    public List<PageRun> DataRuns(long size)
    {
        const int SEEK_DATA = 3, SEEK_HOLE = 4;
        List<PageRun> runs = [];
        for (long at = 0; at < size;)
        {
            SysResult data = Files.Seek(file.Number, at, SEEK_DATA);
            if (data.Failed) return runs; // ENXIO: only a hole is left
            SysResult hole = Files.Seek(file.Number, data.Value, SEEK_HOLE);
            long end = hole.Failed ? size : Math.Min(size, hole.Value);
            ulong start = (ulong)data.Value & ~4095ul, stop = ((ulong)end + 4095) & ~4095ul;
            if (runs.Count > 0 && runs[^1].End >= start) runs[^1] = new PageRun(runs[^1].Start, stop);
            else runs.Add(new PageRun(start, stop));
            at = end;
        }
        return runs;
    }

    public void Dispose() => file.Dispose();
}
