using Stasis.Image;
using Stasis.State.Descriptors.MessageQueue;
using Stasis.State.Processes;

namespace Stasis.State.SystemV;

/// <summary>Whether what an image tells of System V IPC fits together: nothing of it is trusted.</summary>
public static class IpcCheck
{
    private const int MaxObjects = 1 << 20, MaxSemaphores = 1 << 16;

    /// <param name="require">Throws with the words when the condition does not hold.</param>
    public static void Run(IpcRecord ipc, TreeRecord tree, Func<SavedPages, ulong, ulong, bool> inOrder, Action<bool, string> require)
    {
        HashSet<int> pids = [0, .. tree.Processes.Select(process => process.Pid)];
        Identities([.. ipc.Segments.Select(s => s.Identity)], "shared memory", require);
        Identities([.. ipc.SemaphoreSets.Select(s => s.Identity)], "semaphores", require);
        Identities([.. ipc.MessageQueues.Select(q => q.Identity)], "message queues", require);
        foreach (SegmentRecord segment in ipc.Segments)
        {
            require(segment.HugePage == 0 || Linux.HugePages.IsPageSize(segment.HugePage), $"the pages of System V segment {segment.Identity.Id}");
            require(segment.Size is > 0 and < 1L << 60 && pids.Contains(segment.Creator), $"System V segment {segment.Identity.Id}");
            require(segment.Pages is not { } pages || inOrder(pages, 0, SegmentAttach.Room(segment.Size, segment.HugePage)), $"the content of System V segment {segment.Identity.Id}");
        }
        foreach (SemaphoreSetRecord set in ipc.SemaphoreSets)
            require(set.Values.Length is > 0 and <= MaxSemaphores && set.LastProcesses.Length == set.Values.Length && set.Values.All(value => value <= Linux.SysvIpc.SEMVMX) && set.LastProcesses.All(pids.Contains),
                $"System V semaphores {set.Identity.Id}");
        foreach (MessageQueueRecord queue in ipc.MessageQueues)
            require(queue.Messages.Length <= MaxObjects && queue.Messages.All(message => message.Type > 0 && message.Text.Length <= MaxMessage), $"System V message queue {queue.Identity.Id}");
        require(ipc.IdleQueues.Length == 0 || tree.OwnPidNamespace, "its message queues that nobody has open");
        foreach (QueueRecord queue in ipc.IdleQueues) require(QueueMaker.Damage(queue) is null && !queue.Unlinked, "a message queue that nobody has open");
        Dictionary<int, SegmentRecord> segments = ipc.Segments.ToDictionary(segment => segment.Identity.Id);
        Dictionary<int, SemaphoreSetRecord> sets = ipc.SemaphoreSets.ToDictionary(set => set.Identity.Id);
        HashSet<int> attached = [];
        foreach (ProcessRecord process in tree.Processes)
        {
            require(process.SemaphoreUndo.Length <= MaxObjects && process.SemaphoreUndo.All(undo => sets.TryGetValue(undo.Set, out SemaphoreSetRecord? set) && undo.Number >= 0 && undo.Number < set.Values.Length
                && undo.Adjustment is >= short.MinValue and <= short.MaxValue), $"what process {process.Pid} undoes on semaphores");
            foreach (SegmentAttach attach in SegmentAttach.Of(process.Mappings)) Attach(process, attach, segments, attached, require);
        }
        require(ipc.Segments.All(segment => !segment.Removed || attached.Contains(segment.Identity.Id)), "a System V segment that is marked for destruction and attached nowhere");
    }

    // A tape carries no more (Arena.TapeCapacity); the kernel's own limit is 8192 unless raised.
    private const int MaxMessage = 64 * 1024;

    private static void Identities(IpcIdentity[] identities, string what, Action<bool, string> require)
    {
        require(identities.Length <= MaxObjects && identities.All(identity => identity.Id >= 0 && identity.Permissions is >= 0 and <= 0x1FF), $"its System V {what}");
        require(identities.Select(identity => identity.Id).Distinct().Count() == identities.Length, $"a System V id of its {what}");
        int[] keys = [.. identities.Select(identity => identity.Key).Where(key => key != 0)];
        require(keys.Distinct().Count() == keys.Length, $"a System V key of its {what}");
    }

    private static void Attach(ProcessRecord process, SegmentAttach attach, Dictionary<int, SegmentRecord> segments, HashSet<int> attached, Action<bool, string> require)
    {
        string what = $"the attached System V segment {attach.Segment} of process {process.Pid}";
        require(segments.TryGetValue(attach.Segment, out SegmentRecord? segment), what);
        ulong room = SegmentAttach.Room(segment!.Size, segment.HugePage);
        require(attach.Pieces.All(piece => piece.Shared && piece.Offset < room && piece.Length <= room - piece.Offset && piece.Start >= piece.Offset) && attach.Base + room <= 0x7ffffffff000 && attach.Base + room > attach.Base, what);
        require(!attach.IsOverlaid(room, process.Mappings.Select(mapping => (mapping.Start, mapping.End))), what);
        attached.Add(attach.Segment);
    }
}
