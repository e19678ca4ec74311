using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>A run of pages that hold something of their own: [Start, End) page-aligned.</summary>
public readonly record struct PageRun(ulong Start, ulong End)
{
    public ulong Length => End - Start;
}

/// <summary>
/// Which pages of a mapping are the process's own: present or swapped, not the zero page and not equal to a file behind them.
/// PAGEMAP_SCAN where the kernel has it (Linux 6.7), else /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
/// </summary>
public sealed unsafe class PageScan : IDisposable
{
    public const ulong PageSize = 4096;
    private const ulong PAGEMAP_SCAN = 0xC0606610; // _IOWR('f', 16, struct pm_scan_arg), 96 bytes
    private const ulong PAGE_IS_WRITTEN = 1 << 1, PAGE_IS_FILE = 1 << 2, PAGE_IS_PRESENT = 1 << 3, PAGE_IS_SWAPPED = 1 << 4, PAGE_IS_PFNZERO = 1 << 5, PAGE_IS_GUARD = 1 << 8;
    private readonly DescriptorHandle _pagemap;
    private bool _hasScan = true;

    [StructLayout(LayoutKind.Sequential)]
    private struct pm_scan_arg { public ulong size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask; }

    [StructLayout(LayoutKind.Sequential)]
    private struct page_region { public ulong start, end, categories; }

    public PageScan(int pid) => _pagemap = new DescriptorHandle(Files.Open($"/proc/{pid}/pagemap", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC)
        .OrThrowDescriptor($"open /proc/{pid}/pagemap"));

    public void Dispose() => _pagemap.Dispose();

    /// <summary>Pages that a private mapping holds itself (for a mapping of a file: those written since), and its guard pages, which look as if they were swapped out.</summary>
    public void OwnPages(ulong start, ulong end, List<PageRun> runs, List<PageRun> guards)
    {
        if (_hasScan && Scan(start, end, PAGE_IS_FILE | PAGE_IS_PFNZERO, PAGE_IS_FILE | PAGE_IS_PFNZERO, PAGE_IS_PRESENT | PAGE_IS_SWAPPED, runs, guards)) return;
        _hasScan = false;
        ReadPagemap(start, end, runs);
    }

    /// <summary>Guard pages (MADV_GUARD_INSTALL, Linux 6.13) of a mapping whose content is not its own. Nothing on a kernel that can't tell of them.</summary>
    public void GuardPages(ulong start, ulong end, List<PageRun> guards)
    {
        if (_hasScan && _hasGuards) Scan(start, end, 0, PAGE_IS_GUARD, PAGE_IS_GUARD, [], guards);
    }

    /// <summary>Pages that are there, whatever is in them. Errors: <see cref="KernelRefusal"/> on a kernel without PAGEMAP_SCAN.</summary>
    public void PresentPages(ulong start, ulong end, List<PageRun> runs) => Exactly(start, end, 0, PAGE_IS_PRESENT | PAGE_IS_SWAPPED, runs);

    /// <summary>Pages that a userfaultfd protects from writes.</summary>
    public void WriteProtectedPages(ulong start, ulong end, List<PageRun> runs) => Exactly(start, end, PAGE_IS_WRITTEN, PAGE_IS_PRESENT | PAGE_IS_SWAPPED, runs);

    private void Exactly(ulong start, ulong end, ulong without, ulong anyOf, List<PageRun> runs)
    {
        if (!Scan(start, end, without, without, anyOf, runs, [])) throw new KernelRefusal($"PAGEMAP_SCAN of {start:x}-{end:x}", Errno.ENOTTY);
    }

    // Linux 6.15 tells them apart.
    private bool _hasGuards = true;

    private bool Scan(ulong start, ulong end, ulong inverted, ulong required, ulong anyOf, List<PageRun> runs, List<PageRun> guards)
    {
        const int Capacity = 1024;
        page_region* regions = stackalloc page_region[Capacity];
        while (start < end)
        {
            var argument = new pm_scan_arg
            {
                size = 96,
                start = start,
                end = end,
                vec = (ulong)regions,
                vec_len = Capacity,
                category_inverted = inverted,
                category_mask = required,
                category_anyof_mask = anyOf,
                return_mask = PAGE_IS_PRESENT | (_hasGuards ? PAGE_IS_GUARD : 0),
            };
            SysResult result = Files.IoControl(_pagemap.Number, PAGEMAP_SCAN, (nint)(&argument));
            if (result.Errno == Errno.EINVAL && _hasGuards)
            {
                _hasGuards = false;
                return (required & PAGE_IS_GUARD) != 0 || Scan(start, end, inverted, required, anyOf, runs, guards);
            }
            if (result.Failed) return result.Errno is Errno.ENOTTY or Errno.EINVAL ? false : throw new KernelRefusal($"PAGEMAP_SCAN of {start:x}-{end:x}", result.Errno);
            for (int i = 0; i < result.Value; i++) Append((regions[i].categories & PAGE_IS_GUARD) != 0 ? guards : runs, regions[i].start, regions[i].end);
            // Not by walk_end: after more than 512 regions it may be stale (seen on 6.18). A vector that is not full was the end.
            if (result.Value < Capacity) break;
            start = regions[Capacity - 1].end;
        }
        return true;
    }

    private static void Append(List<PageRun> runs, ulong start, ulong end)
    {
        InvariantBroken.Require(end > start && (runs.Count == 0 || runs[^1].End <= start), "runs of pages come in order");
        if (runs.Count > 0 && runs[^1].End == start) runs[^1] = new PageRun(runs[^1].Start, end);
        else runs.Add(new PageRun(start, end));
    }

    private void ReadPagemap(ulong start, ulong end, List<PageRun> runs)
    {
        ulong[] entries = new ulong[4096];
        while (start < end)
        {
            int count = (int)Math.Min((ulong)entries.Length, (end - start) / PageSize);
            Span<byte> bytes = MemoryMarshal.AsBytes(entries.AsSpan(0, count));
            long read = Files.ReadAt(_pagemap.Number, bytes, (long)(start / PageSize * 8)).OrThrow("read pagemap");
            if (read == 0) return;
            count = (int)(read / 8);
            for (int i = 0; i < count; i++)
            {
                // bit 63 present, 62 swapped, 61 file page or shared anonymous
                bool own = (entries[i] >> 62 & 3) != 0 && (entries[i] >> 61 & 1) == 0;
                ulong page = start + (ulong)i * PageSize;
                if (own) Append(runs, page, page + PageSize);
            }
            start += (ulong)count * PageSize;
        }
    }
}

public static class SysResultExtensions
{
    public static int OrThrowDescriptor(this SysResult result, string call, string? whose = null) => checked((int)result.OrThrow(call, whose));
}
