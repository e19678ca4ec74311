using Stasis.Image;
using Stasis.Linux;
using Stasis.Remote;
using Stasis.State.Descriptors;
using Stasis.State.Memory;
using Stasis.State.Processes;

namespace Stasis.Engine.Restart;

/// <summary>Inodes and open file descriptions, made in our own process, and their way to the numbers that they had.</summary>
internal sealed partial class RestartJourney
{
    private void MakeDescriptions(bool newPidNamespace)
    {
        _objects = new ObjectMaker(_image.Objects, _image.Pages, _closeBeforeResume);
        using StandIns standIns = _standIns = new StandIns(_arena, newPidNamespace);
        _context = new RebuildContext
        {
            Descriptions = _image.Descriptions,
            OpenObject = _objects.Open,
            PathOf = id => _image.Objects.TryGetValue(id, out ObjectRecord? file) && file.Kind == ObjectKind.File ? file.Path : null,
            DescriptorOf = Make,
            Clock = _clock.Shift,
            Terminal = _terminals.ForTree,
            TaskOf = TaskOf,
            EndedProcess = RunToItsEnd,
            RunIn = (id, tape) => _tasks[id][0].Run(tape),
            CloseBeforeResume = _closeBeforeResume,
            Undo = _undo,
            BeforeResume = _beforeResume,
            LastBeforeResume = _lastBeforeResume,
            WithTree = _withTree,
            RunAs = (who, tape) => _standIns.Run(who, tape),
            AtLast = _atLast,
            StoredBytes = name => _image.Reader.ReadStored(name),
            RestoreFile = (name, descriptor) => _image.Reader.CopyTo($"content/{name}", descriptor),
        };
        _late = LateDescriptions.Of(_image.Descriptions);
        foreach (int id in _image.Descriptions.Keys) if (!_late.Contains(id)) Make(id);
        ActAtLast();
        foreach (MappingRecord mapping in _image.Living.SelectMany(process => process.Mappings).Where(mapping => mapping.Kind == MappingKind.Object)) DescriptorFor(mapping);
        foreach (ProcessRecord process in _image.Living) MappingDescriptor(process.Executable, false);
        _pages = Files.Open(_image.Pages.Path, OpenFlags.O_RDONLY).OrThrowDescriptor("open of pages.bin");
        _closeBeforeResume.Add(_pages);
        if (_terminals.Between is { } between) _closeBeforeResume.Add(_betweenForTree = between.Open(OpenFlags.O_RDWR));
        if (_late.Count == 0) return;
        _self = Kernel.Call(Syscall.pidfd_open, Environment.ProcessId, 0).OrThrowDescriptor("pidfd_open of ourselves");
        Files.Control(_self, F_SETFD, 0).OrThrow("fcntl(F_SETFD)");
        _closeBeforeResume.Add(_self);
    }

    private void ActAtLast()
    {
        foreach (Action act in _atLast) act();
        _atLast.Clear();
    }

    private readonly List<Action> _atLast = [];
    private StandIns _standIns = null!;
    private const int F_SETFD = 2;
    private readonly HashSet<int> _making = [];
    private RebuildContext _context = null!;
    private HashSet<int> _late = [];

    // A handle of our own process, which every blank process inherits: by it they take what is made late.
    private int _self;

    private int Make(int id)
    {
        if (_descriptorOf.TryGetValue(id, out int made)) return made;
        if (!_making.Add(id)) throw new BadImage($"open file description {id} contains itself");
        Description description = _image.Descriptions[id];
        int descriptor = DescriptorKinds.Of(description).Rebuild(description, _context);
        SetFlags(description, descriptor);
        // Blank processes inherit it at its number.
        Files.Control(descriptor, F_SETFD, 0).OrThrow("fcntl(F_SETFD)");
        _descriptorOf[id] = descriptor;
        _closeBeforeResume.Add(descriptor);
        return descriptor;
    }

    // Inside the tree's own pid namespace, where it has one: a handle of a process of another could not be asked anything there.
    private void RunToItsEnd(int wantedId, int waitStatus, Action<int> whileItLives)
    {
        BlankTask first = _init ?? BlankTask.Spawn(_arena);
        if (_init is null) _trace.Made(first.Tid);
        BlankTask task = wantedId == 0 && _init is null ? first : WithId(first, wantedId) ?? (_init is null ? first : WithId(first, 0)!);
        whileItLives(task.Tid);
        End(task, waitStatus);
        if (_init is null && task != first) End(first, 0);
    }

    private BlankTask? _init;

    // null when somebody has the id.
    private BlankTask? WithId(BlankTask first, int id)
    {
        const ulong CLONE_PARENT = 0x8000;
        var tape = new Tape();
        CloneCall.Add(tape, $"clone3 of a process with id {id}", _init is null ? CLONE_PARENT : 0, 0, id);
        try
        {
            first.Run(tape);
        }
        catch (KernelRefusal refusal) when (refusal.Errno is Errno.EEXIST or Errno.EINVAL or Errno.EPERM)
        {
            return null;
        }
        BlankTask born = first.TakeBorn(thread: false);
        _trace.Made(born.Tid);
        return born;
    }

    private void End(BlankTask task, int waitStatus)
    {
        if (_init is null) task.EndBy(waitStatus);
        else TreeBuilder.End(task, _init, waitStatus);
        _trace.Ended(task.Tid);
    }

    private int TaskOf(int id)
    {
        if (_ids.TryGetValue(id, out int process)) return process;
        foreach (ProcessRecord record in _image.Living)
            for (int i = 0; i < record.Threads.Length; i++) if (record.Threads[i].Tid == id) return _tasks[record.Pid][i].Tid;
        throw new InvariantBroken($"task {id} is asked for, which the plan should have refused");
    }

    private IReadOnlyDictionary<int, int> _ids = new Dictionary<int, int>();

    private void MakeWhileItLives(int process)
    {
        foreach (int id in _late.Where(id => DescriptorKinds.Of(_image.Descriptions[id]).NeedsAlive(_image.Descriptions[id]) == process)) Make(id);
    }

    /// <summary>Above every number of ours by one more, so that in no blank process, which inherited ours of an earlier time, it is anything else, nor
    /// the lowest that is free.</summary>
    private void MakeLateDescriptions()
    {
        const int F_DUPFD = 0;
        // The tree has its ids by now: nobody can stand in for one of them any more.
        using StandIns standIns = _standIns = new StandIns(_arena, newPidNamespace: true);
        foreach (int id in _image.Descriptions.Keys.Where(_late.Contains)) Make(id);
        ActAtLast();
        foreach (int id in _late)
        {
            int above = Files.Control(_descriptorOf[id], F_DUPFD, _closeBeforeResume.Max() + 2).OrThrowDescriptor("fcntl(F_DUPFD)");
            _closeBeforeResume.Add(above);
            _descriptorOf[id] = above;
        }
    }

    // Into a process that was there before them.
    private void BringLateDescriptions(BlankTask task, DescriptorTable table)
    {
        if (_late.Count == 0) return;
        var batch = new TapeBatch(task);
        foreach (int number in table.Entries.Select(entry => entry.Description).Where(_late.Contains).Distinct().Select(id => _descriptorOf[id]))
        {
            Tape tape = batch.Tape;
            TapeCall taken = tape.Call("pidfd_getfd", Syscall.pidfd_getfd, _self, number, 0);
            tape.Call("dup2", Syscall.dup2, taken, number);
            tape.Call("close", Syscall.close, taken);
        }
        batch.Flush();
    }

    /// <summary>Closes what is ours. What watches files gets its watches when none is opened or closed any more, or they would show there.</summary>
    private void CloseAndSettle(IReadOnlyDictionary<int, BlankTask> blanks)
    {
        List<int> settling = [.. _image.Descriptions.Values.Where(description => DescriptorKinds.Of(description).NeedsSettling(description)).Select(description => description.Id)];
        HashSet<int> kept = [.. settling.Select(id => _descriptorOf[id])];
        foreach (int descriptor in _closeBeforeResume) if (!kept.Contains(descriptor)) Files.Close(descriptor);
        _closeBeforeResume.Clear();
        var context = new SettleContext(description => LinkOf(description, blanks));
        foreach (int id in settling) DescriptorKinds.Of(_image.Descriptions[id]).Settle(_image.Descriptions[id], _descriptorOf[id], context);
        foreach (int descriptor in kept) Files.Close(descriptor);
    }

    private string LinkOf(int description, IReadOnlyDictionary<int, BlankTask> blanks)
    {
        foreach (DescriptorTable table in _image.Tree.DescriptorTables)
            if (table.Entries.FirstOrDefault(entry => entry.Description == description) is { } entry) return $"/proc/{HolderOf(table, blanks).Task.Tid}/fd/{entry.Number}";
        throw new BadImage($"no process has open file description {description}");
    }

    // A process that has this table, and the task of it that does: mostly its leader, else a thread that has parted from it.
    private (ProcessRecord Process, BlankTask Task) HolderOf(DescriptorTable table, IReadOnlyDictionary<int, BlankTask> blanks)
    {
        foreach (ProcessRecord process in _image.Living)
        {
            if (process.DescriptorTable == table.Id) return (process, process.LeaderStatus is not null && _tasks.TryGetValue(process.Pid, out List<BlankTask>? tasks) ? tasks[0] : blanks[process.Pid]);
            int own = Array.FindIndex(process.Threads, thread => thread.OwnTable == table.Id);
            if (own >= 0) return (process, _tasks[process.Pid][own]);
        }
        throw new BadImage($"nobody has descriptor table {table.Id}");
    }

    private int _pages, _betweenForTree;

    // Flags that open did not set or that only F_SETFL can. O_ASYNC is set in the tree (DescriptorRestore.Finish).
    private static void SetFlags(Description description, int descriptor)
    {
        const int F_GETFL = 3, F_SETFL = 4, Settable = OpenFlags.O_APPEND | OpenFlags.O_NONBLOCK | OpenFlags.O_DIRECT | OpenFlags.O_NOATIME;
        if ((description.Flags & OpenFlags.O_PATH) != 0 || description is State.Descriptors.OuterStream.OuterStreamRecord) return;
        long now = Files.Control(descriptor, F_GETFL).OrThrow("fcntl(F_GETFL)");
        if ((now & Settable) != (description.Flags & Settable))
            Files.Control(descriptor, F_SETFL, (nint)(now & ~Settable | (description.Flags & (long)Settable))).OrThrow("fcntl(F_SETFL)");
    }

    private int DescriptorFor(MappingRecord mapping) => mapping.Kind is MappingKind.Ring or MappingKind.PacketRing ? _descriptorOf[mapping.Object] : MappingDescriptor(mapping.Object, mapping.Shared && mapping.Flags.Contains("mw"));

    private int MappingDescriptor(int id, bool write)
    {
        if (_mappingDescriptor.TryGetValue((id, write), out int descriptor)) return descriptor;
        _mappingDescriptor[(id, write)] = descriptor = _objects.Open(id, write ? OpenFlags.O_RDWR : OpenFlags.O_RDONLY);
        _closeBeforeResume.Add(descriptor);
        return descriptor;
    }

    private void PlaceDescriptors(IReadOnlyDictionary<int, BlankTask> blanks)
    {
        int highest = _closeBeforeResume.Count == 0 ? 3 : _closeBeforeResume.Max();
        HashSet<int> owned = [], finished = [];
        List<(BlankTask, ProcessRecord, DescriptorTable)> placed = [];
        foreach (DescriptorTable table in _image.Tree.DescriptorTables)
        {
            (ProcessRecord owner, BlankTask task) = HolderOf(table, blanks);
            BringLateDescriptions(task, table);
            DescriptorRestore.Place(task, table, id => _descriptorOf[id], highest);
            placed.Add((task, owner, table));
        }
        foreach ((BlankTask task, ProcessRecord owner, DescriptorTable table) in placed) DescriptorRestore.Finish(task, owner.Pid, table, _image.Descriptions, owned, finished, task == blanks[owner.Pid], _context);
        foreach (Description description in _image.Descriptions.Values)
            if (DescriptorKinds.Of(description) is { MustFinish: true } kind && kind.NeedsFinish(description) && !finished.Contains(description.Id)) throw new BadImage($"no process has open file description {description.Id} that must have it");
    }
}
