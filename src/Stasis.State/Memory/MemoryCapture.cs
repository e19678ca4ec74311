using Stasis.Image;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.AsynchronousIo;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.IoUring;
using Stasis.State.Descriptors.PacketSocket;
using Stasis.State.Descriptors.UserFaultFd;
using Stasis.State.Processes;
using Stasis.State.SystemV;

namespace Stasis.State.Memory;

/// <summary>Plans which pages of a frozen tree go into the page store, and fills the answers into the records once they are written.</summary>
/// <param name="ringOf">The io_uring or ring of packets of an inode.</param>
public sealed class MemoryCapture(PageWriter pages, ObjectCatalogue objects, MappingPolicies policies, IReadOnlySet<(int Pid, ulong Start)> watched, Func<ulong, KernelRing> ringOf)
{
    private readonly Dictionary<(int Pid, ulong Start), int> _areaOfMapping = [];
    private readonly List<(CataloguedObject Object, int Area, ObjectPages Pages)> _objectAreas = [];

    // The VmFlags that a restart sets again by madvise, mlock and the like; the others follow from protection and kind.
    private static readonly string[] s_keptFlags = ["lo", "lf", "sr", "rr", "dc", "dd", "hg", "nh", "mg", "wf", "gd", "nr", "sl", "mw"];

    private readonly ForkedPages _forked = new();
    private readonly Dictionary<int, int> _faces = [];

    /// <summary>The mappings of one process, pages planned but not yet read; parents come before their children.</summary>
    /// <param name="hasChildren">Children may have pages in common with it.</param>
    public MappingRecord[] Plan(ProcessSurvey process, bool hasChildren)
    {
        List<MappingRecord> records = [];
        var source = new ProcessPages(process.Face);
        using var scan = new PageScan(process.Face);
        using SharedPages? shared = _forked.Knows(process.Stat.ParentPid) ? new SharedPages(_faces[process.Stat.ParentPid], process.Face) : null;
        _faces[process.Pid] = process.Face;
        List<PageRun> runs = [], guards = [];
        foreach (ProcMapping mapping in process.Mappings)
        {
            if (mapping.Name is "[vsyscall]" or "[uprobes]") continue;
            if (WatchedMemory.Is(mapping) && !watched.Contains((process.Pid, mapping.Start)))
                throw new CaptureRefused(new Problem(process.Pid, process.Command, $"mapping {mapping.Description}", "it is watched by a userfaultfd that no process of the tree holds", "checkpoint a common ancestor of this process and of the one that handles its page faults"));
            MappingRecord record = Describe(process, mapping);
            if (policies.Of(process.Pid, mapping) is { } own) record = record with { Policies = own };
            if (record.Kind != MappingKind.Kernel)
            {
                runs.Clear();
                guards.Clear();
                if (record.Shared) scan.GuardPages(mapping.Start, mapping.End, guards);
                else scan.OwnPages(mapping.Start, mapping.End, runs, guards);
                if (runs.Count > 0)
                {
                    int area = shared is null ? pages.Plan(source, runs) : pages.PlanPartly(source, _forked.Cut(process.Stat.ParentPid, shared, runs));
                    _areaOfMapping[(process.Pid, mapping.Start)] = area;
                    if (hasChildren) _forked.Remember(process.Pid, pages.PlannedRuns(area));
                }
                if (guards.Count > 0) record = record with { Guards = [.. guards.Select(g => new GuardRun(g.Start, g.End))] };
            }
            if (record.Kind == MappingKind.PacketRing) records.AddRange(PiecesOf(record, ringOf(mapping.Inode)));
            else records.Add(record);
        }
        return [.. records];
    }

    private static IEnumerable<MappingRecord> PiecesOf(MappingRecord record, KernelRing ring) =>
        PacketRingMappings.Turned(record.Start, record.End, record.Offset, ring.From, ring.Length)
            .Select(piece => record with { Start = piece.Start, End = piece.End, Offset = piece.Offset, Whole = ring.Length, Object = ring.Description });

    private MappingRecord Describe(ProcessSurvey process, ProcMapping mapping)
    {
        var record = new MappingRecord
        {
            Start = mapping.Start,
            End = mapping.End,
            Protection = (int)mapping.Protection,
            Key = mapping.Key,
            Shared = mapping.Shared,
            Kind = KernelMappings.Moves(mapping) ? MappingKind.Kernel : RingMappings.Is(mapping) ? MappingKind.Ring : PacketRingMappings.Is(mapping) ? MappingKind.PacketRing : AsyncContexts.Is(mapping) ? MappingKind.AsyncContext : SegmentAttach.Is(mapping) ? MappingKind.Segment : mapping.Inode == 0 ? MappingKind.Anonymous : MappingKind.Object,
            Offset = mapping.Inode == 0 || AsyncContexts.Is(mapping) ? 0 : mapping.Offset,
            Name = NameOf(mapping),
            Flags = [.. mapping.Flags.Intersect(s_keptFlags)],
        };
        if (record.Kind == MappingKind.Segment) return record with { Object = (int)mapping.Inode };
        if (record.Kind == MappingKind.Ring) return record with { Object = ringOf(mapping.Inode).Description };
        if (record.Kind != MappingKind.Object) return record; // PacketRing: see PiecesOf
        (CataloguedObject? found, string? why, _) = objects.OfMapping(process.Face, mapping);
        if (found is null) throw new KernelRefusal($"mapping {mapping.Description}: {why}", Errno.EOPNOTSUPP, $"process {process.Pid}");
        return record with { Object = found.Record.Id };
    }

    private static string NameOf(ProcMapping mapping) =>
        KernelMappings.Is(mapping) ? mapping.Name
        : mapping.Name.StartsWith("[anon:", StringComparison.Ordinal) ? mapping.Name["[anon:".Length..^1]
        : mapping.Name.StartsWith("[anon_shmem:", StringComparison.Ordinal) ? mapping.Name["[anon_shmem:".Length..^1] : "";

    /// <summary>Plans the content of every inode that the image must bring along. Call when all mappings and descriptors are known.</summary>
    public void PlanObjects()
    {
        const int F_GET_SEALS = 1034;
        foreach (CataloguedObject entry in objects.All.Where(entry => entry.Record.Kind != ObjectKind.File))
        {
            var file = new DescriptorHandle(Files.Open(entry.Handle, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of {entry.Record.Path} by {entry.Handle}"));
            bool empty = NameServiceCache.Is(Files.ReadLink(entry.Handle).Target);
            var source = new ObjectPages(file);
            (SysResult result, FileStatus status) = Files.Status(file.Number);
            result.OrThrow($"statx of {entry.Record.Path}");
            SysResult seals = entry.Record.Kind == ObjectKind.MemoryFile ? Files.Control(file.Number, F_GET_SEALS) : SysResult.Error(Errno.EINVAL);
            entry.Record = entry.Record with { Size = status.Size, Seals = seals.Failed ? -1 : (int)seals.Value };
            // hugetlbfs has no SEEK_DATA of its own and takes all for data; where no page is allocated there is none.
            empty |= entry.Record.HugePage != 0 && status.Blocks == 0;
            _objectAreas.Add((entry, pages.Plan(source, empty ? [] : source.DataRuns(status.Size)), source));
        }
    }

    /// <summary>After the pages are written: where each mapping's and each object's pages are.</summary>
    public void Resolve(SavedPages[] areas, IEnumerable<(int Pid, ProcessRecord Record)> processes, Action<int, ProcessRecord> update)
    {
        foreach ((int pid, ProcessRecord record) in processes)
        {
            MappingRecord[] mappings = [.. record.Mappings.Select(m => _areaOfMapping.TryGetValue((pid, m.Start), out int area) ? m with { Pages = areas[area] } : m)];
            update(pid, record with { Mappings = mappings });
        }
        foreach ((CataloguedObject entry, int area, ObjectPages source) in _objectAreas)
        {
            entry.Record = entry.Record with { Pages = areas[area] };
            source.Dispose();
        }
    }
}
