using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Descriptors;
using Stasis.State.Processes;

namespace Stasis.State.SystemV;

/// <summary>A set of semaphores as it was when the tree was frozen. LastProcesses as we see them.</summary>
public sealed record SemaphoreSight(int Id, SysvIpcLine Line, ushort[] Values, int[] LastProcesses);

/// <summary>The semaphores of a frozen tree, and which of its processes may have something to undo at their end.</summary>
public sealed class SemaphoreCapture
{
    private readonly TreeSurvey _tree;
    private readonly HashSet<int> _withoutList = [];

    private SemaphoreCapture(TreeSurvey tree) => _tree = tree;

    public IReadOnlyList<SemaphoreSight> Sets { get; private set; } = [];

    /// <summary>Whether a process may have adjustments: where there are no sets, or it never had a list for them, it has none.</summary>
    public bool MayUndo(int pid) => Sets.Count > 0 && !_withoutList.Contains(pid);

    /// <summary>Errors: <see cref="CaptureRefused"/> for what shares its list of adjustments otherwise than by threads.</summary>
    public static SemaphoreCapture Take(TreeSurvey tree, IpcSurvey survey)
    {
        var capture = new SemaphoreCapture(tree);
        if (survey.SemaphoreSets.Count == 0) return capture;
        IpcNamespace.Within(tree.Root.Face, () => capture.Sets = [.. survey.SemaphoreSets.Select(pair => Look(pair.Key, pair.Value)).OfType<SemaphoreSight>()]);
        capture.FindLists();
        return capture;
    }

    // null: it was removed meanwhile, by somebody outside.
    private static SemaphoreSight? Look(int id, SysvIpcLine line)
    {
        (SysResult result, ushort[] values) = SysvIpc.SemaphoreValues(id, (int)line["nsems"]);
        if (result.Errno is Errno.EIDRM or Errno.EINVAL) return null;
        result.OrThrow($"semctl(GETALL) of set {id}");
        return new SemaphoreSight(id, line, values, [.. values.Select((_, number) => SysvIpc.LastProcess(id, number) is { Failed: false } pid ? (int)pid.Value : 0)]);
    }

    /// <summary>
    /// A task has no list of adjustments until it is a thread or asks for one; kcmp finds all those that have none equal. So equal to a
    /// process that surely has none means none, and equal to each other means one shared list.
    /// </summary>
    private void FindLists()
    {
        using var reference = new PlainProcess();
        List<ProcessSurvey> with = [];
        foreach (ProcessSurvey process in _tree.Processes.Where(process => !process.Zombie))
        {
            if (Kcmp.Compare(process.Face, reference.Pid, Kcmp.Kind.Sysvsem) == 0) _withoutList.Add(process.Pid);
            else with.Add(process);
            foreach (int tid in process.Tids)
                if (tid != process.Pid && tid != process.Face && Kcmp.Compare(process.Face, tid, Kcmp.Kind.Sysvsem) != 0)
                    throw new CaptureRefused(new Problem(process.Pid, process.Command, $"thread {tid}", "it undoes its semaphore operations (SEM_UNDO) apart from its process, which is not carried yet", "there is no way around it yet"));
        }
        with.Sort((a, b) => Kcmp.Compare(a.Face, b.Face, Kcmp.Kind.Sysvsem));
        for (int i = 1; i < with.Count; i++)
            if (Kcmp.Compare(with[i - 1].Face, with[i].Face, Kcmp.Kind.Sysvsem) == 0)
                throw new CaptureRefused(new Problem(with[i].Pid, with[i].Command, "", $"it shares what it will undo on semaphores (CLONE_SYSVSEM) with process {with[i - 1].Pid}, which is not carried yet", "there is no way around it yet"));
    }

    /// <summary>The sets that belong to the tree, after all processes have told their adjustments. Errors: <see cref="CaptureRefused"/> when somebody outside changed one meanwhile.</summary>
    public SemaphoreSetRecord[] Records(Func<long, int> insideOf, IpcOwnership ownership, IReadOnlyList<UndoRecord> undo)
    {
        HashSet<int> undone = [.. undo.Select(u => u.Set)];
        Dictionary<SemaphoreSight, Belonging> belongings = Sets.ToDictionary(set => set, set => ownership.OfSet(set, undone.Contains(set.Id)));
        List<SemaphoreSight> carried = [.. Sets.Where(set => belongings[set] != Belonging.No)];
        if (carried.Count > 0) IpcNamespace.Within(_tree.Root.Face, () => carried.ForEach(RequireUnchanged));
        return [.. carried.Select(set => new SemaphoreSetRecord
        {
            Identity = IpcSurvey.Identity(set.Id, set.Line, belongings[set]),
            Values = set.Values,
            LastProcesses = [.. set.LastProcesses.Select(pid => insideOf(pid))],
        })];
    }

    private void RequireUnchanged(SemaphoreSight set)
    {
        (SysResult result, ushort[] values) = SysvIpc.SemaphoreValues(set.Id, set.Values.Length);
        if (!result.Failed && values.AsSpan().SequenceEqual(set.Values)) return;
        throw new CaptureRefused(new Problem(_tree.Root.Pid, _tree.Root.Command, $"System V semaphores {set.Id}", "a process outside of the tree uses them too, and changed them meanwhile", "try again in a moment, or checkpoint a common ancestor"));
    }

    /// <summary>A process of ours that has done nothing yet.</summary>
    private sealed class PlainProcess : IDisposable
    {
        private readonly BlankTask _task = BlankTask.Spawn(new Arena(0x10000000));
        public int Pid => _task.Tid;

        public void Dispose()
        {
            Signals.Send(Pid, Signals.SIGKILL);
            Wait.For(Pid, TimeSpan.FromSeconds(5));
        }
    }
}
