using Stasis.Linux;
using Stasis.State;
using Stasis.State.Memory;
using Stasis.State.Processes;
using Stasis.State.SystemV;
using Stasis.State.Threads;

namespace Stasis.Engine.Restart;

/// <summary>What an image's memory needs of this host beside room: huge pages, NUMA nodes.</summary>
internal sealed class MemoryPlan(LoadedImage image, ProblemList problems)
{
    public void Check()
    {
        foreach ((ulong page, long needed) in HugePagesNeeded().OrderBy(pair => pair.Key)) CheckHugePages(page, needed);
        HugeFiles();
        Policies();
    }

    private void CheckHugePages(ulong page, long needed)
    {
        if (needed == 0) return;
        string size = page >= 1ul << 30 ? $"{page >> 30} GiB" : page >= 1ul << 20 ? $"{page >> 20} MiB" : $"{page >> 10} KiB";
        long available = HugePages.Available(page);
        if (available < 0)
            problems.Add(0, "", "", $"the image has memory in huge pages of {size}, a size that this host does not have", "restart on a host with huge pages of this size");
        else if (available < needed)
            problems.Add(0, "", "", $"the image's memory needs {needed} huge pages of {size}, and {available} can be had here", $"allow more (/sys/kernel/mm/hugepages/hugepages-{page >> 10}kB/nr_hugepages or nr_overcommit_hugepages)");
    }

    /// <summary>By size. What is reserved counts as what is there: the kernel reserves it again.</summary>
    private Dictionary<ulong, long> HugePagesNeeded()
    {
        Dictionary<ulong, long> needed = [];
        void Need(ulong page, long count) => needed[page] = needed.GetValueOrDefault(page) + count;
        Dictionary<int, List<PageRun>> ofObject = [];
        foreach (ObjectRecord file in image.Objects.Values.Where(file => file.HugePage != 0)) ofObject[file.Id] = file.Pages is { } pages ? Touched(pages, file.HugePage) : [];
        foreach (MappingRecord mapping in image.Living.SelectMany(process => process.Mappings).Where(mapping => mapping.Kind == MappingKind.Object && ofObject.ContainsKey(mapping.Object)))
        {
            ulong page = image.Objects[mapping.Object].HugePage;
            bool reserved = !mapping.Flags.Contains("nr");
            if (!mapping.Shared) Need(page, reserved ? (long)(mapping.Length / page) : mapping.Pages is { } own ? Count(Touched(own, page)) : 0);
            else if (reserved) ofObject[mapping.Object].Add(new PageRun(mapping.Offset / page, (mapping.Offset + mapping.Length) / page));
        }
        foreach ((int id, List<PageRun> pages) in ofObject) Need(image.Objects[id].HugePage, Math.Max(0, Count(pages) - AllocatedHere(image.Objects[id])));
        foreach (SegmentRecord segment in image.Ipc.Segments.Where(segment => segment.HugePage != 0))
            Need(segment.HugePage, segment.NoReserve ? (segment.Pages is { } pages ? Count(Touched(pages, segment.HugePage)) : 0) : (long)(SegmentAttach.Room(segment.Size, segment.HugePage) / segment.HugePage));
        return needed;
    }

    // By number of page.
    private List<PageRun> Touched(Image.SavedPages pages, ulong page)
    {
        List<PageRun> touched = [];
        foreach (Image.SavedRun run in image.Pages.Of(pages)) touched.Add(new PageRun(run.Address / page, (run.Address + run.Length - 1) / page + 1));
        return touched;
    }

    // Each page once.
    private static long Count(List<PageRun> runs)
    {
        long count = 0;
        ulong end = 0;
        foreach (PageRun run in runs.OrderBy(run => run.Start))
        {
            if (run.End <= end) continue;
            count += (long)(run.End - Math.Max(run.Start, end));
            end = run.End;
        }
        return count;
    }

    // A file that is found again by its name has its pages.
    private static long AllocatedHere(ObjectRecord file) =>
        file.Kind == ObjectKind.File && Files.Status(file.Path) is { Result.Failed: false } found ? found.Status.Blocks * 512 / (long)file.HugePage : 0;

    // In the place of such a file another one would have pages of another size.
    private void HugeFiles()
    {
        foreach (ObjectRecord file in image.Objects.Values.Where(file => file is { HugePage: not 0, Kind: ObjectKind.File or ObjectKind.Deleted }))
        {
            string directory = Path.GetDirectoryName(file.Path) ?? "/";
            if (!Files.Status(directory).Result.Failed && HugePages.PageSizeOf(directory) != file.HugePage)
                problems.Add(0, "", file.Path, "no file system of huge pages of that size (hugetlbfs) is mounted there any more", $"mount it again (mount -t hugetlbfs -o pagesize={file.HugePage >> 10}K none {directory})");
        }
    }

    private void Policies()
    {
        if (NumaNodes.Here() is not { } here) return;
        foreach (ProcessRecord process in image.Living)
        {
            foreach (PolicyRun run in process.Mappings.SelectMany(mapping => mapping.Policies ?? []))
                Policy(process, $"mapping {run.Start:x}-{run.End:x}", run.Policy, here);
            foreach (ThreadRecord thread in process.Threads)
                if (thread.Settings.MemoryPolicy is { } policy) Policy(process, thread.Tid == process.Pid ? "" : $"thread {thread.Tid}", policy, here);
        }
    }

    private void Policy(ProcessRecord process, string what, MemoryPolicyRecord policy, HashSet<int> here)
    {
        if (NumaNodes.Missing(policy, here) is { Length: > 0 } missing)
            problems.Add(process.Pid, process.Comm, what, $"its memory policy ({NumaNodes.Words(policy)}) names node {string.Join(',', missing)}, which this host does not have", "restart on a host with these NUMA nodes");
    }
}
