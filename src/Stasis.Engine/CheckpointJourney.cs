using System.Diagnostics;
using System.Globalization;
using Stasis.Engine.Hooks;
using Stasis.Image;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.InternetSocket;
using Stasis.State.Descriptors.Terminal;
using Stasis.State.Descriptors.UserFaultFd;
using Stasis.State.Memory;
using Stasis.State.Processes;
using Stasis.State.Seccomp;
using Stasis.State.SystemV;
using Stasis.State.Threads;

namespace Stasis.Engine;

/// <summary>
/// From a running tree to an image on disk. The stages, in order:
/// 1. Examine: everything that can't be carried is refused, with nothing touched.
/// 2. Open the image under its temporary name: a full or read-only disk shows before the freeze.
/// 3. Freeze.
/// 4. Examine again, now for good; a problem that came up meanwhile ends the journey with the tree let go.
/// 5. Interrogate every task by tape.
/// 6. Capture descriptors, then plan and write memory.
/// 7. Let the tree go, when it is to go on: the rest is ours alone.
/// 8. Write the records, sync, rename: the image exists.
/// 9. End the tree, when it is not to go on: not before the image is on disk.
/// At any earlier exit, also by the tool's death, the tree goes on as if nothing had been.
/// </summary>
internal sealed class CheckpointJourney(CheckpointRequest request)
{
    /// <summary>
    /// A program that asks for itself goes on, and hears of the end from us; progress could wait for a reader that is frozen.
    /// Errors: <see cref="StasisFailure"/> when we ourselves are meant.
    /// </summary>
    public static CheckpointJourney For(CheckpointRequest request)
    {
        if (Requester.Is(request.Pid)) throw new StasisFailure(FailureKind.Failed, "stasis can't checkpoint itself; name the process that has started it");
        int root = RunNamespace.Meant(request.Pid);
        if (!Requester.IsBelow(root)) return new CheckpointJourney(request);
        Requester.AwaitOlder(root);
        return new CheckpointJourney(request with { LeaveRunning = true, Progress = null, OfItself = true });
    }

    private readonly int _root = RunNamespace.Meant(request.Pid);
    private readonly Stopwatch _total = Stopwatch.StartNew();
    private readonly CodeFinder _finder = new();
    private readonly PageWriter _pages = new();
    private readonly ObjectCatalogue _objects = new();
    private readonly Dictionary<int, ProcessRecord> _records = [];
    private readonly Hooks.Hooks _hooks = new("checkpoint", request.Directory, request.Hooks);
    private Dictionary<int, int> _insideIds = [];
    private EarlyHashes _hashes = null!;
    private HookProcess[] _hookProcesses = [];

    public CheckpointReport Run()
    {
        Rights.Require();
        new Thread(ImageJson.Prepare) { IsBackground = true, Name = "records" }.Start();
        TreeSurvey first = Preflight.Require(_root, request.External, request.OutsideSockets);
        _hashes = new EarlyHashes(first);
        HashSet<int> eventWaits = EventWait.In(first);
        if (eventWaits.Count > 0 || SleepSight.IsNeeded(first)) new Thread(() => KernelSight.Unavailable()) { IsBackground = true, Name = "types" }.Start();
        _hooks.Call("before-freeze", _root, []);
        using var image = new ImageWriter(request.Directory);
        request.Progress?.Stage("freezing");
        using ArrivalHold arrivals = _arrivals;
        if (eventWaits.Count > 0) KernelSight.Unavailable(); // not in the freeze
        using Freezer freezer = Freeze(first, eventWaits, out Stopwatch freeze, out TreeSurvey tree, out ExamineContext examined);
        using ExamineContext held = examined;
        using var aids = new FrozenAids();
        _aids = aids;
        _insideIds = InsideIds(tree);
        _hookProcesses = [.. tree.Processes.Select(process => new HookProcess(process.Pid, process.Command))];
        _hooks.Call("frozen", _root, _hookProcesses);
        _sharing = TreeSharing.Of(tree);
        _policies = new MappingPolicies(tree);
        _semaphores = SemaphoreCapture.Take(tree, examined.Ipc);
        using (_peers) InterrogateAll(tree, freezer, examined);
        _ipc = new IpcCapture(tree, examined.Ipc, new IpcOwnership(tree, examined.Ipc, freezer.ByProcess.Values.SelectMany(tasks => tasks)), InsideId);
        DescriptorCapture descriptors = DescriptorCapture.Take(tree, examined);
        Description[] descriptions = descriptors.Describe(Context(examined, descriptors, image, tree, freezer));
        // What peers send from now on waits in the kernel: nothing of it need be sent again, which would take as long as the freeze once more.
        if (request.LeaveRunning)
        {
            aids.Dispose();
            arrivals.Dispose();
        }
        foreach (Description description in descriptions)
        {
            if (description is State.Descriptors.IoUring.IoUringRecord ring) _rings[ring.Inode] = new KernelRing(ring.Id, 0, 0);
            else if (description is State.Descriptors.PacketSocket.PacketSocketRecord { Ring: { } packets }) _rings[packets.Inode] = new KernelRing(description.Id, packets.From, (ulong)packets.Length);
        }
        // Not before the last timer was read: on a clock that stood earlier, it would expire early.
        _clocks = ClockReading.Now(ClockOffsets.Of($"{_root}"));
        SaveMemory(tree, image, out double unfrozenAt, freezer, freeze, examined);
        image.WriteJson("losses.json", new LossesRecord([.. examined.Losses]), ImageJson.Default.LossesRecord);
        WriteRecords(tree, descriptors, descriptions, image);
        long imageBytes = image.Length;
        // What a restart would refuse to read must not be called an image, and least of all end the target.
        image.Commit(BuildManifest(tree), written =>
        {
            TakeOutGarbage(tree);
            LoadedImage.Open(written);
            _hooks.Call("written", _root, _hookProcesses);
        });
        if (!request.LeaveRunning)
        {
            aids.Kill(freezer.Processes);
            freezer.Kill();
            arrivals.Dispose();
            unfrozenAt = freeze.Elapsed.TotalMilliseconds;
        }
        _hooks.CallLast("done", _root, _hookProcesses, "the checkpoint itself is complete");
        return new CheckpointReport(System.IO.Path.GetFullPath(request.Directory), _root, tree.Processes.Count, freezer.TaskCount,
            descriptors.Tables.Sum(table => table.Entries.Length), (long)_savedBytes, imageBytes, unfrozenAt, _total.Elapsed.TotalMilliseconds, request.LeaveRunning, examined.Losses)
        {
            OfItself = request.OfItself,
            OuterTcpConnections = State.Descriptors.TcpConnection.TcpConnectionRecord.Outer(descriptions),
        };
    }

    private readonly Dictionary<ulong, KernelRing> _rings = [];
    private ulong _savedBytes;
    private readonly ArrivalHold _arrivals = new();
    private FrozenAids _aids = null!;
    private TreeSharing _sharing = null!;
    private SemaphoreCapture _semaphores = null!;
    private MappingPolicies _policies = null!;
    private readonly HashSet<(int Pid, ulong Start)> _watched = [];
    private IpcCapture _ipc = null!;
    private IpcRecord _ipcRecord = new();

    private const int FreezeAttempts = 20, AttemptsBeforeHold = 3, ReadingMicroseconds = 20_000, PassingMicroseconds = 2000;
    private static readonly TimeSpan s_passing = TimeSpan.FromMilliseconds(150);

    /// <summary>
    /// Freezes and looks again, now for good. A problem that passes by itself (a child inside vfork, a process that is just ending, a client that
    /// is just arriving) is waited for with the tree let go, a bounded number of times.
    /// </summary>
    /// <param name="first">The look before.</param>
    /// <param name="eventWaits">Threads that it saw in a wait for events with a limit.</param>
    private Freezer Freeze(TreeSurvey first, IReadOnlySet<int> eventWaits, out Stopwatch freeze, out TreeSurvey tree, out ExamineContext examined)
    {
        // A terminal that is written to faster than it is read is full whenever one looks: its writers are stopped first, its readers a little later.
        // So are those who connect faster than a listener's program accepts.
        HashSet<int> readers = [];
        IReadOnlyList<Func<bool>> passed = [];
        for (int attempt = 1; ; attempt++)
        {
            var freezer = new Freezer(eventWaits);
            ExamineContext? looked = null;
            try
            {
                freeze = Stopwatch.StartNew();
                if (readers.Count > 0)
                {
                    freezer.Freeze(_root, readers);
                    if (passed.Count == 0) Pause.Microseconds(ReadingMicroseconds * Math.Min(attempt, 5));
                    Await(passed);
                }
                freezer.Freeze(_root);
                var problems = new ProblemList();
                (tree, examined) = Preflight.Look(_root, Environment.ProcessId, problems, request.External, request.OutsideSockets, carriesClients: attempt >= AttemptsBeforeHold);
                looked = examined;
                FrozenExamination.Run(tree, freezer.ByProcess, problems);
                TraceExamination.Outside(tree, first, problems);
                RefuseStoppedTracers(tree, freezer, problems);
                bool complete = freezer.Holds(tree);
                bool arriving = ArrivalHold.Found(examined);
                if (!problems.Any && complete && !(arriving && attempt < FreezeAttempts) && NobodyArrives(examined)) return freezer;
                readers = [.. PtyMasterKind.Readers(examined), .. examined.StopLast];
                passed = examined.Passed;
                if (arriving && attempt >= AttemptsBeforeHold) _arrivals.Begin(examined);
                if (attempt == FreezeAttempts)
                {
                    if (problems.Any) throw Preflight.Refuse(tree, problems);
                    throw new StasisFailure(FailureKind.Failed, complete ? $"new clients have come to process {_root} all the time; try again" : $"a process below {_root} has been ending all the time; try again");
                }
            }
            catch (StillInVfork waiting)
            {
                looked?.Dispose();
                freezer.Dispose();
                (string why, string advice) = waiting.InFault ? (WatchedMemory.Why, WatchedMemory.Advice) : (VforkWait.Why, VforkWait.Advice);
                throw new Refused($"process {_root} can't be checkpointed", [new Problem(waiting.Pid, ProcStat.Read(waiting.Pid)?.Comm ?? "", $"thread {waiting.Tid}", $"it {why}", advice)]);
            }
            catch
            {
                looked?.Dispose();
                freezer.Dispose();
                throw;
            }
            looked.Dispose();
            freezer.Dispose();
            Pause.Microseconds(PassingMicroseconds * attempt);
            Await(passed);
        }
    }

    private static void Await(IReadOnlyList<Func<bool>> passed)
    {
        long end = Environment.TickCount64 + (long)s_passing.TotalMilliseconds;
        while (!passed.All(one => one()) && Environment.TickCount64 < end) Pause.Microseconds(PassingMicroseconds);
    }

    // Whom the kernel takes in for a listener while the tree is frozen is reset when the tree is killed, and unharmed when it is not; but one of the
    // tree's own would be in the image with a connection to nobody.
    private bool NobodyArrives(ExamineContext examined)
    {
        if (request.LeaveRunning && !ArrivalHold.TreeConnects(examined) && !_arrivals.Holds) return true;
        _arrivals.Begin(examined);
        return ArrivalHold.Found(examined) || _arrivals.Nobody(examined);
    }

    // Which of them stand in a job-control stop is only known once we hold them.
    private static void RefuseStoppedTracers(TreeSurvey tree, Freezer freezer, ProblemList problems)
    {
        foreach ((int process, int tracer) in freezer.Traced.Values)
            if (freezer.Task(tracer) is { } thread && freezer.ByProcess[thread.Tgid].Any(task => task.GroupStopSignal != 0))
                problems.Add(process, tree.Processes.FirstOrDefault(one => one.Pid == process)?.Command ?? "", "", $"process {thread.Tgid} traces it and is stopped by job control, which is not carried yet", "let it go on first (fg)");
    }

    // From ids as we see them to ids inside the tree's own pid namespace.
    private static Dictionary<int, int> InsideIds(TreeSurvey tree)
    {
        Dictionary<int, int> ids = [];
        foreach (ProcessSurvey process in tree.Processes)
        {
            ids[process.Pid] = process.InsidePid;
            if (process.NamespaceDepth < 2) continue;
            foreach (int tid in process.Tids)
                if (ProcStatus.Read($"/proc/{process.Pid}/task/{tid}")?.Numbers("NSpid") is { Length: > 0 } inside) ids[tid] = (int)inside[^1];
        }
        return ids;
    }

    private int InsideId(int id) => _insideIds.TryGetValue(id, out int inside) ? inside : id;

    // Those that a tracer of the tree holds come last: for them their tracers are needed, whose own state is known by then.
    private void InterrogateAll(TreeSurvey tree, Freezer freezer, ExamineContext examined)
    {
        foreach (ProcessSurvey process in tree.Processes.Where(process => !freezer.Traced.ContainsKey(process.Pid)))
            Interrogate(process, tree, freezer, examined, freezer.ByProcess.TryGetValue(process.Pid, out List<Tracee>? tasks) ? [.. tasks] : []);
        if (freezer.Traced.Count == 0) return;
        using var hands = new TracerHands(freezer, _finder);
        foreach (ProcessSurvey process in tree.Processes.Where(process => freezer.Traced.ContainsKey(process.Pid))) Interrogate(process, tree, freezer, examined, hands.TasksOf(process));
    }

    private void Interrogate(ProcessSurvey process, TreeSurvey tree, Freezer freezer, ExamineContext examined, IReadOnlyList<HeldTask> tasks)
    {
        if (process.Zombie || tasks.Count == 0)
        {
            AddRecord(process, ProcessCapture.Skeleton(process, InsideId));
            return;
        }
        var capture = new ProcessCapture(process, tasks, InsideId)
        {
            Seccomp = _seccomp,
            PeerFor = _peers.For,
            StoppedChildren = [.. tree.Processes.Where(child => child.Stat.ParentPid == process.Pid && freezer.ByProcess.TryGetValue(child.Pid, out List<Tracee>? its) && its[0].GroupStopSignal != 0)
                .Select(child => child.InsidePid)],
            Semaphores = _semaphores.MayUndo(process.Pid) ? _semaphores.Sets : [],
            Policies = _sharing.SharedWith(process.Pid, Kcmp.Kind.Vm) == 0 ? _policies : null,
        };
        AddRecord(process, capture.Take(_finder));
        foreach (Loss loss in capture.Losses) examined.Lose(loss);
        if (capture.RemovedForgotten) process.Mappings = ProcMaps.Read(process.Face).Mappings;
        _reportedStops.UnionWith(capture.ReportedStops);
    }

    private readonly HashSet<int> _reportedStops = [];
    private readonly SeccompCapture _seccomp = new();
    private readonly ProbePeers _peers = new();

    private void AddRecord(ProcessSurvey process, ProcessRecord record)
    {
        int Shared(Kcmp.Kind kind) => _sharing.SharedWith(process.Pid, kind) is var owner and not 0 ? InsideId(owner) : 0;
        _records[process.Pid] = record with
        {
            Parent = process.Pid != _root && _insideIds.TryGetValue(process.Stat.ParentPid, out int parent) ? parent : 0,
            SharesMemoryWith = Shared(Kcmp.Kind.Vm),
            SharesHandlersWith = Shared(Kcmp.Kind.Sighand),
            SharesPlacesWith = Shared(Kcmp.Kind.Fs),
        };
    }

    private DescriptorCaptureContext Context(ExamineContext examined, DescriptorCapture descriptors, ImageWriter image, TreeSurvey tree, Freezer freezer) => new()
    {
        Examined = examined,
        DescriptionOf = descriptors.DescriptionOf,
        InsideId = InsideId,
        Objects = _objects,
        MemoryOwner = pid => _sharing.SharedWith(pid, Kcmp.Kind.Vm) is var owner and not 0 ? owner : pid,
        Watched = _watched,
        Frozen = _aids,
        RunTape = (pid, tape) => RunTape(tree.Processes.First(process => process.Pid == pid || process.Face == pid || process.OwnDescriptors.ContainsKey(pid)), pid, freezer, tape),
        StoreBytes = (name, bytes) => { image.WriteBytes($"content/{name}", bytes.Span); return name; },
        StoreFile = (name, descriptor, length) => { image.CopyFile($"content/{name}", descriptor, length); return name; },
    };

    private void RunTape(ProcessSurvey process, int pid, Freezer freezer, Tape tape)
    {
        if (!freezer.ByProcess.TryGetValue(process.Pid, out List<Tracee>? tasks))
            throw new CaptureRefused(new Problem(process.Pid, process.Command, "", "it is being traced, and what waits in its terminal can't be looked at so", "try again when the terminal's bytes have been read"));
        Tracee task = process.OwnDescriptors.ContainsKey(pid) ? tasks.First(task => task.Tid == pid) : tasks[0];
        using LiveMachine machine = LiveMachine.Board(task, process.Mappings, _finder, 1, process.ThirtyTwoBit);
        machine.Run(task, tape);
    }

    // What was read of very many mappings is garbage by now. The memory that we take for ourselves is taken from the target's host.
    private static void TakeOutGarbage(TreeSurvey tree)
    {
        const int Many = 10_000;
        if (tree.Processes.Sum(process => process.Mappings.Count) > Many) GC.Collect();
    }

    private void SaveMemory(TreeSurvey tree, ImageWriter image, out double unfrozenAt, Freezer freezer, Stopwatch freeze, ExamineContext examined)
    {
        TakeOutGarbage(tree);
        var memory = new MemoryCapture(_pages, _objects, _policies, _watched, inode => _rings[inode]);
        HashSet<int> parents = [.. tree.Processes.Where(process => !process.Zombie).Select(process => process.Stat.ParentPid)];
        foreach (ProcessSurvey process in tree.Processes.Where(process => !process.Zombie))
        {
            (CataloguedObject? executable, string? why, _) = _objects.OfExecutable(process.Face);
            if (executable is null) throw new StasisFailure(FailureKind.Failed, $"the executable of process {process.Pid} ({process.Command}): {why}");
            bool ownMemory = _sharing.SharedWith(process.Pid, Kcmp.Kind.Vm) == 0;
            _records[process.Pid] = _records[process.Pid] with
            {
                Mappings = ownMemory ? memory.Plan(process, parents.Contains(process.Pid)) : [],
                AsyncContexts = ownMemory ? State.AsynchronousIo.AsyncContexts.Take(process) : [],
                Executable = executable.Record.Id,
            };
        }
        memory.PlanObjects();
        _ipc.PlanSegments(_pages);
        _ipc.Take(_semaphores, _records.Values);
        SettleMappedFiles(image);
        if (request.SaveFiles) SaveFiles(image);
        request.Progress?.Stage("writing pages");
        using DescriptorHandle file = image.Create("pages.bin");
        _pages.Run(file.Number, request.Progress is null ? null : request.Progress.Bytes);
        _vdsoHash = VdsoHash(tree, false);
        _compatVdsoHash = VdsoHash(tree, true);
        examined.Dispose();
        if (request.LeaveRunning)
        {
            _aids.Dispose();
            freezer.Release();
        }
        unfrozenAt = freeze.Elapsed.TotalMilliseconds;
        Files.BeginSync(file.Number);
        (SavedRun[] index, SavedPages[] areas) = _pages.BuildIndex();
        memory.Resolve(areas, [.. _records.Where(pair => pair.Value.Mappings.Length > 0).Select(pair => (pair.Key, pair.Value))], (pid, record) => _records[pid] = record);
        _ipcRecord = _ipc.Finish(areas);
        image.Add(new ImageFile("pages.bin", (long)_pages.PlannedBytes, ""));
        image.WriteBytes("pages.idx", System.Runtime.InteropServices.MemoryMarshal.AsBytes(index.AsSpan()));
        image.WriteBytes("pages.sum", _pages.Sums);
        foreach (SavedPages area in areas) _savedBytes += area.Bytes;
    }

    // A write through a mapping changes a file's time only when its page was clean: written back now, every later one shows.
    private void SettleMappedFiles(ImageWriter image)
    {
        const long TMPFS_MAGIC = 0x01021994; // include/uapi/linux/magic.h
        foreach (CataloguedObject entry in _objects.All.Where(entry => entry.Record is { Kind: ObjectKind.File, Writable: true, Volatile: false }))
        {
            using var file = new DescriptorHandle(Files.Open(entry.Handle, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of {entry.Record.Path}"));
            Files.Sync(file.Number).OrThrow($"fsync of {entry.Record.Path}");
            if (Files.FileSystem(entry.Handle) == TMPFS_MAGIC || entry.Record.HugePage != 0) SaveSharedMemory(entry, file.Number, image);
            (SysResult result, FileStatus status) = Files.Status(file.Number);
            result.OrThrow($"statx of {entry.Record.Path}");
            entry.Record = entry.Record with { ModifiedNanoseconds = status.ModifiedNanoseconds, Size = status.Size };
        }
    }

    // In memory there is no writing back, so a later write through a mapping shows in nothing but the content: that comes along.
    private static void SaveSharedMemory(CataloguedObject entry, int descriptor, ImageWriter image)
    {
        string name = $"file-{entry.Record.Id}";
        image.CopyFile($"content/{name}", descriptor, entry.Record.Size);
        entry.Record = entry.Record with { Stored = name, ContentHash = FileContent.Hash(entry.Handle) };
    }

    // The content of every file that the tree may write to.
    private void SaveFiles(ImageWriter image)
    {
        foreach (CataloguedObject entry in _objects.All.Where(entry => entry.Record is { Kind: ObjectKind.File, OpenForWriting: true, Volatile: false, Stored.Length: 0 }))
        {
            using var file = new DescriptorHandle(Files.Open(entry.Handle, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of {entry.Record.Path}"));
            string name = $"file-{entry.Record.Id}";
            image.CopyFile($"content/{name}", file.Number, entry.Record.Size);
            entry.Record = entry.Record with { Stored = name };
        }
    }

    private string _vdsoHash = "", _compatVdsoHash = "";
    private ClockReading _clocks;

    private static string VdsoHash(TreeSurvey tree, bool thirtyTwoBit)
    {
        ProcessSurvey? process = tree.Processes.FirstOrDefault(process => !process.Zombie && process.ThirtyTwoBit == thirtyTwoBit);
        foreach (ProcMapping mapping in process?.Mappings.Where(mapping => mapping.Name == "[vdso]") ?? [])
        {
            byte[] bytes = new byte[mapping.Length];
            if (!ProcessMemory.ReadExactly(process!.Face, mapping.Start, bytes).Failed) return ContentHash.Of(bytes);
        }
        return "";
    }

    private void WriteRecords(TreeSurvey tree, DescriptorCapture descriptors, Description[] descriptions, ImageWriter image)
    {
        request.Progress?.Stage("writing records");
        HashReadFiles();
        // Who watches the directory that the image lies in may have opened or entered it the moment it was made, under the name it had then.
        descriptions = [.. descriptions.Select(description => description.At(image.InPlace) ?? description)];
        ProcessRecord[] processes = [.. tree.Processes.Select(process => _records[process.Pid] with
        {
            StopReported = _reportedStops.Contains(process.InsidePid),
            DescriptorTable = descriptors.TableOf.TryGetValue(process.Pid, out int table) ? table : 0,
            WorkingDirectory = _records[process.Pid].WorkingDirectory?.At(image.InPlace),
            Root = _records[process.Pid].Root?.At(image.InPlace),
            Threads = [.. OwnTables(process, _records[process.Pid].Threads, descriptors).Select(thread => thread.OwnPlaces is { } own ? thread with { OwnPlaces = own.At(image.InPlace) } : thread)],
        })];
        HashSet<int> pids = [.. processes.Select(process => process.Pid)];
        processes = WithNewsOfRequester(tree, processes);
        ProcessRecord root = processes[0];
        var record = new TreeRecord
        {
            Processes = processes,
            OutsideSession = root.Session != root.Pid ? root.Session : -1,
            OutsideGroup = root.Session != root.Pid && !pids.Contains(root.Group) ? root.Group : -1,
            OwnPidNamespace = RunNamespace.IsInit(tree.Root.Stat.ParentPid),
            DescriptorTables = [.. descriptors.Tables],
            SeccompFilters = _seccomp.Filters,
            RootHasOuterTerminal = root.Session == root.Pid && tree.Root.Stat.TtyNumber != 0 && !descriptions.Any(description => DescriptorKinds.Of(description).ControlledSession(description) == root.Pid),
            ForegroundGroup = tree.Root.Stat.ForegroundGroup > 0 ? InsideId(tree.Root.Stat.ForegroundGroup) : 0,
        };
        image.WriteJson("tree.json", record, ImageJson.Default.TreeRecord);
        image.WriteJson("objects.json", new ObjectsRecord([.. _objects.All.Select(entry => entry.Record).OrderBy(o => o.Id)]), ImageJson.Default.ObjectsRecord);
        image.WriteJson("ipc.json", _ipcRecord, ImageJson.Default.IpcRecord);
        image.WriteJson("descriptors.json", new DescriptionsRecord(descriptions), ImageJson.Default.DescriptionsRecord);
    }

    private ProcessRecord[] WithNewsOfRequester(TreeSurvey tree, ProcessRecord[] processes)
    {
        if (!request.OfItself) return processes;
        ProcessRecord command = processes[tree.Processes.ToList().FindIndex(process => Requester.Is(process.Pid))];
        return [.. processes.Select(process => process.Pid == command.Parent ? process with { SharedPendingSignals = Requester.WithNews(process.SharedPendingSignals, command, tree.Processes.First(one => Requester.Is(one.Pid)).Status.Numbers("Uid")[0]) } : process)];
    }

    private ThreadRecord[] OwnTables(ProcessSurvey process, ThreadRecord[] threads, DescriptorCapture descriptors)
    {
        if (process.OwnDescriptors.Count == 0) return threads;
        Dictionary<int, int> tables = process.Tids.Where(tid => process.Partings.TableOf(tid) != 0).ToDictionary(InsideId, tid => descriptors.TableOf[process.Partings.TableOf(tid)]);
        return [.. threads.Select(thread => thread with { OwnTable = tables.GetValueOrDefault(thread.Tid) })];
    }

    // The content of what is only mapped or read: on another host, or after a reinstallation, the same file may have another time.
    private void HashReadFiles()
    {
        _hashes.Finish();
        foreach (CataloguedObject entry in _objects.All.Where(entry => entry.Record is { Kind: ObjectKind.File, OpenForWriting: false, Volatile: false }))
            entry.Record = entry.Record with { ContentHash = _hashes.Of(entry.Record) };
    }

    private Manifest BuildManifest(TreeSurvey tree)
    {
        byte[] xsave = _records[_root].Threads[0].ExtendedState;
        return new Manifest
        {
            Format = Manifest.CurrentFormat,
            Tool = $"stasis {StasisEngine.Version}",
            Created = DateTime.UtcNow.ToString("O", CultureInfo.InvariantCulture),
            KernelRelease = Files.ReadText("/proc/sys/kernel/osrelease").Text.Trim(),
            Machine = "x86_64",
            BootId = Files.ReadText("/proc/sys/kernel/random/boot_id").Text.Trim(),
            ExtendedStates = ExtendedLayout.FeaturesOf(xsave),
            ExtendedStateLength = xsave.Length,
            ExtendedPlaces = ExtendedLayout.Here.Of(ExtendedLayout.FeaturesOf(xsave)),
            VdsoHash = _vdsoHash,
            CompatVdsoHash = _compatVdsoHash,
            MonotonicNanoseconds = _clocks.Monotonic,
            BoottimeNanoseconds = _clocks.Boottime,
            RealtimeNanoseconds = _clocks.Realtime,
            Files = [],
        };
    }
}
