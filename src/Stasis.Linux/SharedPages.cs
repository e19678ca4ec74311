using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>
/// Which private pages two processes have in common, as one was forked from the other and neither has written them since: by the number of the
/// page's frame (Documentation/admin-guide/mm/pagemap.rst; shown with CAP_SYS_ADMIN). For processes that stand still.
/// </summary>
public sealed class SharedPages : IDisposable
{
    private const ulong Present = 1ul << 63, OfFile = 1ul << 61, Exclusive = 1ul << 56, FrameMask = (1ul << 55) - 1;
    private const int Batch = 16 * 1024;
    private readonly DescriptorHandle _first, _second;
    private readonly ulong[] _firstEntries = new ulong[Batch], _secondEntries = new ulong[Batch];

    public SharedPages(int first, int second) => (_first, _second) = (Open(first), Open(second));

    private static DescriptorHandle Open(int pid) => new(Files.Open($"/proc/{pid}/pagemap", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open /proc/{pid}/pagemap"));

    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
    }

    /// <summary>The pages of a range that are the same at the same address in both.</summary>
    public void Find(ulong start, ulong end, List<PageRun> same)
    {
        while (start < end)
        {
            int count = (int)Math.Min(Batch, (end - start) / PageScan.PageSize);
            if (!Read(_first, start, _firstEntries.AsSpan(0, count)) || !Read(_second, start, _secondEntries.AsSpan(0, count))) return;
            for (int i = 0; i < count; i++)
            {
                if (!AreSame(_firstEntries[i], _secondEntries[i])) continue;
                ulong page = start + (ulong)i * PageScan.PageSize;
                if (same.Count > 0 && same[^1].End == page) same[^1] = new PageRun(same[^1].Start, page + PageScan.PageSize);
                else same.Add(new PageRun(page, page + PageScan.PageSize));
            }
            start += (ulong)count * PageScan.PageSize;
        }
    }

    // A frame that was freed and taken again between the two looks would be mapped once.
    private static bool AreSame(ulong first, ulong second) => (first & FrameMask) == (second & FrameMask) && (first & FrameMask) != 0
        && (first & second & Present) != 0 && ((first | second) & (OfFile | Exclusive)) == 0;

    private static bool Read(DescriptorHandle pagemap, ulong start, Span<ulong> entries)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(entries);
        SysResult read = Files.ReadAt(pagemap.Number, bytes, (long)(start / PageScan.PageSize * sizeof(ulong)));
        return !read.Failed && read.Value == bytes.Length;
    }
}
