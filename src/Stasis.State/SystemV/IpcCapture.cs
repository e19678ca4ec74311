using Stasis.Image;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.MessageQueue;
using Stasis.State.Processes;

namespace Stasis.State.SystemV;

/// <summary>
/// What a frozen tree has of System V IPC.
/// </summary>
public sealed class IpcCapture(TreeSurvey tree, IpcSurvey survey, IpcOwnership ownership, Func<int, int> insideId)
{
    private readonly HashSet<int> _pids = [.. tree.Processes.Select(process => process.Pid)];
    private readonly List<(SegmentRecord Record, int Area, SegmentPages Pages)> _segments = [];

    private int InsideOf(long pid) => _pids.Contains((int)pid) ? insideId((int)pid) : 0;

    /// <summary>Plans the content of the segments.</summary>
    public void PlanSegments(PageWriter pages)
    {
        foreach ((int id, SysvIpcLine line) in survey.Segments)
        {
            string? handle = HandleOf(id);
            Belonging belonging = handle is null ? ownership.OfDetached(line) : Belonging.Yes;
            if (belonging == Belonging.No) continue;
            DescriptorHandle file = handle is null ? OpenDetached(id)
                : new DescriptorHandle(Files.Open(handle, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of System V segment {id} by {handle}"));
            ulong hugePage = HugePages.PageSizeOf(file.Number);
            // Of huge pages the file is as long as its memory.
            var source = new SegmentPages(file, hugePage == 0 ? line["size"] : (long)SegmentAttach.Room(line["size"], hugePage));
            var record = new SegmentRecord
            {
                Identity = IpcSurvey.Identity(id, line, belonging),
                Size = line["size"],
                HugePage = hugePage,
                Creator = InsideOf(line["cpid"]),
                Removed = (line.Mode & SysvIpc.SHM_DEST) != 0,
                Locked = (line.Mode & SysvIpc.SHM_LOCKED) != 0,
                NoReserve = tree.Processes.Any(process => process.Mappings.Any(mapping => SegmentAttach.Is(mapping) && (int)mapping.Inode == id && mapping.Has("nr"))),
            };
            _segments.Add((record, pages.Plan(source, source.DataRuns()), source));
        }
    }

    // A magic link to the segment's file: opening it attaches nothing and changes no time.
    private string? HandleOf(int id)
    {
        foreach (ProcessSurvey process in tree.Processes)
            foreach (ProcMapping mapping in process.Mappings.Where(mapping => SegmentAttach.Is(mapping) && (int)mapping.Inode == id))
                return $"/proc/{process.Face}/map_files/{mapping.Range}";
        return null;
    }

    // Attached by us for a moment, as nobody else has it.
    private DescriptorHandle OpenDetached(int id)
    {
        SysResult opened = default;
        IpcNamespace.Within(tree.Root.Face, () =>
        {
            ulong address = (ulong)SysvIpc.AttachToRead(id).OrThrow($"shmat of segment {id}");
            // Its end depends on the size of its pages, which only the file tells.
            string name = Files.List("/proc/self/map_files").Names.FirstOrDefault(name => name.StartsWith($"{address:x}-", StringComparison.Ordinal)) ?? "";
            opened = Files.Open($"/proc/self/map_files/{name}", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
            SysvIpc.Detach(address).OrThrow($"shmdt of segment {id}");
        });
        return new DescriptorHandle(opened.OrThrowDescriptor($"open of System V segment {id}"));
    }

    /// <summary>After the pages are written: the whole record.</summary>
    public IpcRecord Finish(SavedPages[] areas)
    {
        List<SegmentRecord> segments = [];
        foreach ((SegmentRecord record, int area, SegmentPages source) in _segments)
        {
            segments.Add(record with { Pages = areas[area] });
            source.Dispose();
        }
        return new IpcRecord { Segments = [.. segments], SemaphoreSets = _sets, MessageQueues = _queues, IdleQueues = _idle };
    }

    private SemaphoreSetRecord[] _sets = [];
    private MessageQueueRecord[] _queues = [];
    private QueueRecord[] _idle = [];

    /// <summary>While the tree is frozen, and after its processes have told what they will undo: sets, and the messages of the queues, which stay where they are.</summary>
    public void Take(SemaphoreCapture semaphores, IEnumerable<ProcessRecord> processes)
    {
        _sets = semaphores.Records(InsideOf, ownership, [.. processes.SelectMany(process => process.SemaphoreUndo)]);
        List<MessageQueueRecord> queues = [];
        IpcNamespace.Within(tree.Root.Face, () =>
        {
            foreach ((int id, SysvIpcLine line) in survey.MessageQueues)
                if (ownership.OfQueue(id, line) is not Belonging.No and var belonging) queues.Add(Queue(id, line, belonging));
        });
        _queues = [.. queues];
        if (survey.Own) _idle = IdleQueues.Of(tree);
    }

    private MessageQueueRecord Queue(int id, SysvIpcLine line, Belonging belonging)
    {
        (SysResult result, ulong capacity) = SysvIpc.QueueCapacity(id);
        result.OrThrow($"msgctl(IPC_STAT) of queue {id}");
        List<MessageRecord> messages = [];
        while (true)
        {
            (SysResult peeked, long type, byte[] text) = SysvIpc.PeekMessage(id, messages.Count, (int)Math.Min(line["cbytes"], int.MaxValue / 2));
            if (peeked.Errno == Errno.ENOMSG) break;
            if (peeked.Errno is Errno.E2BIG or Errno.EINVAL or Errno.EIDRM)
                throw new CaptureRefused(new Problem(tree.Root.Pid, tree.Root.Command, $"System V message queue {id}", $"it changed while it was read ({peeked.Errno}): others use it too", "try again in a moment"));
            if (peeked.Errno == Errno.ENOSYS)
                throw new CaptureRefused(new Problem(tree.Root.Pid, tree.Root.Command, $"System V message queue {id}", "this kernel does not show the messages of a queue (CONFIG_CHECKPOINT_RESTORE)", "let the program empty its queues first"));
            peeked.OrThrow($"msgrcv(MSG_COPY) of queue {id}");
            messages.Add(new MessageRecord(type, text));
        }
        return new MessageQueueRecord { Identity = IpcSurvey.Identity(id, line, belonging), Capacity = capacity, Messages = [.. messages] };
    }
}
