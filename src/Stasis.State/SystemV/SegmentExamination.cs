using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Processes;

namespace Stasis.State.SystemV;

/// <summary>Which System V shared memory of a tree can't be carried.</summary>
public static class SegmentExamination
{
    /// <param name="frozen">Only then the kernel's count of attaches and ours must agree: a running tree forks and ends meanwhile.</param>
    public static void Run(TreeSurvey tree, IpcSurvey ipc, ProblemList problems, bool frozen)
    {
        Dictionary<int, int> attached = [];
        if (!tree.Processes.Any(process => process.Mappings.Any(SegmentAttach.Is))) return;
        // What two processes have together, as they share their memory (CLONE_VM), is attached once.
        TreeSharing? sharing = frozen ? TreeSharing.Of(tree) : null;
        foreach (ProcessSurvey process in tree.Processes.Where(process => sharing is null || sharing.SharedWith(process.Pid, Kcmp.Kind.Vm) == 0))
        {
            foreach (IGrouping<(int Id, ulong Base), ProcMapping> attach in process.Mappings.Where(SegmentAttach.Is).GroupBy(mapping => ((int)mapping.Inode, unchecked(mapping.Start - mapping.Offset))))
            {
                attached[attach.Key.Id] = attached.GetValueOrDefault(attach.Key.Id) + attach.Count();
                Attach(process, attach.Key.Id, attach.Key.Base, [.. attach], ipc, problems, frozen);
            }
        }
        if (!frozen) return;
        foreach ((int id, int count) in attached)
        {
            if (!ipc.Segments.TryGetValue(id, out SysvIpcLine? line) || line["nattch"] == count) continue;
            ProcessSurvey user = tree.Processes.First(process => process.Mappings.Any(mapping => SegmentAttach.Is(mapping) && (int)mapping.Inode == id));
            problems.Add(user.Pid, user.Command, $"System V shared memory segment {id}",
                line["nattch"] > count ? "a process outside of the tree has it attached too" : "it belongs to another ipc namespace than the process lives in now",
                line["nattch"] > count ? "checkpoint a common ancestor of both" : "there is no way around it yet");
        }
    }

    private static void Attach(ProcessSurvey process, int id, ulong start, List<ProcMapping> pieces, IpcSurvey ipc, ProblemList problems, bool frozen)
    {
        if (!ipc.Segments.TryGetValue(id, out SysvIpcLine? line))
        {
            if (frozen) problems.Add(process.Pid, process.Command, $"mapping {pieces[0].Description}", "this System V shared memory belongs to another ipc namespace", "there is no way around it yet");
            return;
        }
        var attach = new SegmentAttach(id, start, [.. pieces.Select(piece => new Memory.MappingRecord
        {
            Start = piece.Start, End = piece.End, Protection = (int)piece.Protection, Shared = true, Kind = Memory.MappingKind.Segment, Offset = piece.Offset, Object = id,
        })]);
        if (attach.IsOverlaid(SegmentAttach.Room(line["size"], pieces[0].PageSize), process.Mappings.Select(mapping => (mapping.Start, mapping.End))))
            problems.Add(process.Pid, process.Command, $"mapping {pieces[0].Description}", "only a part of this System V shared memory is still attached, and other memory lies in the place of the rest, which is not carried yet",
                "there is no way around it yet");
    }
}
