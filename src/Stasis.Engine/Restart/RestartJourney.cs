using System.Diagnostics;
using System.Globalization;
using Stasis.Engine.Hooks;
using Stasis.Image;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.OuterStream;
using Stasis.State.Descriptors.TcpConnection;
using Stasis.State.Memory;
using Stasis.State.Processes;
using Stasis.State.SystemV;

namespace Stasis.Engine.Restart;

/// <summary>
/// From an image to a running tree. The stages, in order:
/// 1. Read and check the image; plan, and refuse with every problem at once. Nothing has been created but one blank process, to ask
///    the kernel about itself.
/// 2. Make the inodes and open file descriptions, in our own process; whoever we start inherits them at their numbers.
/// 3. Start the maker, the first blank process, and with it namespaces and tree.
/// 4. Objects of System V IPC; memory, process by process, while a worker verifies the pages' hashes.
/// 5. Threads; descriptions that are handles of a process or thread; descriptors at their numbers; then what needs them there.
/// 6. Signals, scheduling, credentials, timers.
/// 7. Traced tasks are given to their tracers. The arena is unmapped, registers are set; TCP listeners listen; what watches files is given its
///    watches when we touch none any more; all tasks are let go together.
/// A failure before the last step kills every process made and takes back what was created.
/// </summary>
internal sealed partial class RestartJourney(RestartRequest request)
{
    private const int RLIMIT_NOFILE = 7;
    private readonly Stopwatch _total = Stopwatch.StartNew();
    private readonly Hooks.Hooks _hooks = new("restart", request.Directory, request.Hooks);
    private readonly RestartTrace _trace = new();
    private readonly CodeFinder _finder = new();
    private readonly List<int> _closeBeforeResume = [];
    private readonly List<Action> _undo = [], _beforeResume = [], _lastBeforeResume = [];
    private readonly List<Action<Func<int, int>>> _withTree = [];
    private readonly Dictionary<int, int> _descriptorOf = [];
    private readonly Dictionary<(int Object, bool Write), int> _mappingDescriptor = [];
    private LoadedImage _image = null!;
    private ObjectMaker _objects = null!;
    private Arena _arena;
    private RestartClock _clock = null!;
    private TerminalPlace _terminals = null!;

    public RestartReport Run(Action<RestartReport>? started)
    {
        new Thread(ImageJson.PrepareRest) { IsBackground = true, Name = "records" }.Start();
        _image = LoadedImage.Open(request.Directory);
        _arena = ArenaPlace.Find(_image);
        _clock = new RestartClock(_image.Manifest, request.Clock);
        var plan = new RestartPlan(_image, request) { ClockProblem = _clock.Problem };
        Plan(plan);
        _hooks.Call("planned", 0, []);
        using TerminalPlace terminals = _terminals = PlaceTerminals();
        try
        {
            ResourceLimits.SetOwn(RLIMIT_NOFILE, ResourceLimits.Own(RLIMIT_NOFILE).Hard, ResourceLimits.Own(RLIMIT_NOFILE).Hard);
            CreateMissingFiles();
            MakeDescriptions(plan.NewPidNamespace);
            (BlankTask maker, BlankTask? init) = StartTree(plan.NewPidNamespace, out IReadOnlyDictionary<int, BlankTask> blanks);
            Exception? broken = null;
            var verifier = new Thread(() => { try { _image.Pages.Verify(); } catch (Exception error) { broken = error; } }) { IsBackground = true };
            verifier.Start();
            var ipc = new IpcRestore(_image.Ipc, _image.Pages, init ?? maker, blanks, _undo, init is not null);
            ipc.Make();
            FillMemory(blanks);
            ipc.Settle(_image.Living);
            foreach (ProcessRecord process in _image.Living) MakeThreads(process, blanks[process.Pid]);
            MakeLateDescriptions();
            foreach (Action<Func<int, int>> act in _withTree) act(id => blanks.TryGetValue(id, out BlankTask? blank) ? blank.Tid : 0);
            PlaceDescriptors(blanks);
            // Detached, the root is the maker's child and gets its later parent now, so that its parent-death signal means that one.
            maker.EndBy(0);
            Furnish(blanks);
            verifier.Join();
            if (broken is not null) throw new BadImage(broken.Message);
            int rootPid = blanks[_image.Root.Pid].Tid;
            HookProcess[] processes = [.. _image.Living.Select(process => new HookProcess(blanks[process.Pid].Tid, process.Comm))];
            _hooks.Call("built", rootPid, processes);
            if (request.PidFile is { } file) File.WriteAllText(file, rootPid.ToString(CultureInfo.InvariantCulture) + "\n");
            RewindFiles();
            CloseAndSettle(blanks);
            (request.Progress as IDisposable)?.Dispose(); // its line is taken away while the terminal is still ours
            GiveTerminal(blanks);
            LetGo(init);
            // From here on it is a running program, which no failure of ours may touch.
            _trace.Forget();
            _undo.Clear();
            var report = new RestartReport(rootPid, _image.Tree.Processes.Length, _image.ThreadCount, _total.Elapsed.TotalMilliseconds, _clock.GoesOn, null)
            {
                TcpKept = TcpConnectionRecord.Outer(_image.Descriptions.Values),
                NewAuditSession = _newAuditSession,
                TcpClosed = _image.Descriptions.Values.Count(description => description is TcpConnectionRecord { Reset: true }),
            };
            _hooks.CallLast("running", rootPid, processes, "the restarted program runs all the same");
            started?.Invoke(report);
            if (!request.Detach) return report with { ExitStatus = Foreground.WaitFor(init?.Tid ?? rootPid, rootPid, terminals) };
            terminals.Redraw();
            return report;
        }
        catch
        {
            _trace.KillAll();
            foreach (Action undo in Enumerable.Reverse(_undo)) undo();
            terminals.TakeBack();
            throw;
        }
    }

    private TerminalPlace PlaceTerminals() =>
        new(_image.Descriptions.Values.Any(description => description is OuterStreamRecord { Terminal: true, BindTo: null }),
            _image.Tree.RootHasOuterTerminal && !_image.Descriptions.Values.Any(description => description is OuterStreamRecord { BindTo: not null }), request.Detach);

    // The group that had the terminal, if it is one of the tree; else the root's.
    private void GiveTerminal(IReadOnlyDictionary<int, BlankTask> blanks)
    {
        TreeRecord tree = _image.Tree;
        ProcessRecord holder = _image.Living.FirstOrDefault(process => process.Group == tree.ForegroundGroup && process.Session == _image.Root.Session && process.Group != tree.OutsideGroup) ?? _image.Root;
        if (ProcStat.Read(blanks[holder.Pid].Tid) is { } stat) _terminals.Give(stat.ProcessGroup, stat.Session);
    }

    private void Plan(RestartPlan plan)
    {
        Rights.Require();
        BlankTask probe = BlankTask.Spawn(_arena);
        try
        {
            plan.Check(probe, VdsoHash(probe), CompatVdsoHash());
        }
        finally
        {
            Signals.Send(probe.Tid, Signals.SIGKILL);
            Wait.For(probe.Tid, TimeSpan.FromSeconds(5));
        }
    }

    private static string VdsoHash(BlankTask blank)
    {
        foreach (ProcMapping mapping in MemoryRestore.KernelMappingsOf(blank).Where(mapping => mapping.Name == "[vdso]"))
        {
            byte[] bytes = new byte[mapping.Length];
            ProcessMemory.ReadExactly(blank.Tid, mapping.Start, bytes).OrThrow("read of the vdso");
            return ContentHash.Of(bytes);
        }
        return "";
    }

    // Empty, too, where the kernel runs no 32-bit programs.
    private string CompatVdsoHash()
    {
        if (!_image.Living.Any(process => process.ThirtyTwoBit)) return "";
        BlankTask probe = BlankTask.Spawn(_arena);
        try
        {
            probe.Become(compat: true);
            return VdsoHash(probe);
        }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.ENOEXEC) { return ""; }
        finally
        {
            Signals.Send(probe.Tid, Signals.SIGKILL);
            Wait.For(probe.Tid, TimeSpan.FromSeconds(5));
        }
    }

    private (BlankTask Maker, BlankTask? Init) StartTree(bool newPidNamespace, out IReadOnlyDictionary<int, BlankTask> blanks)
    {
        request.Progress?.Stage("making processes");
        BlankTask maker = BlankTask.Spawn(_arena);
        _trace.Made(maker.Tid);
        _clock.Prepare(maker);
        var builder = new TreeBuilder(_image, _trace, TerminalsOfSessions(), MakeWhileItLives);
        _ids = builder.Ids;
        BlankTask? init = _init = newPidNamespace ? NamespaceInit.Make(maker, _trace) : null;
        builder.Build(init ?? maker, init is not null || request.Detach);
        if (init is not null) CloseInherited(init);
        blanks = builder.Blanks;
        return (maker, init);
    }

    // The init stays as long as the tree does. A pipe's end in its hands would keep the other from ever reading end of file.
    private void CloseInherited(BlankTask init)
    {
        var tape = new Tape();
        if (request.Detach)
        {
            // Nor may it keep whoever reads our output from the end of file.
            TapeCall nothing = tape.Call("open of /dev/null", Syscall.open, tape.Text("/dev/null"), OpenFlags.O_RDWR, 0);
            for (int stream = 0; stream <= 2; stream++) tape.Call("dup2 of /dev/null", Syscall.dup2, nothing, stream);
        }
        tape.Call("close_range from 3 on", Syscall.close_range, 3, uint.MaxValue, 0);
        init.Run(tape);
    }

    private Dictionary<int, (int Descriptor, int ForegroundGroup)> TerminalsOfSessions()
    {
        Dictionary<int, (int, int)> terminals = [];
        foreach (Description description in _image.Descriptions.Values)
        {
            DescriptorKind kind = DescriptorKinds.Of(description);
            if (kind.ControlledSession(description) is var session and not 0) terminals[session] = (_descriptorOf[description.Id], kind.ForegroundGroup(description));
        }
        if (_terminals.TakenOver) terminals[_image.Root.Pid] = (0, _image.Tree.ForegroundGroup);
        else if (_terminals.Between is not null) terminals[_image.Root.Pid] = (_betweenForTree, _image.Tree.ForegroundGroup);
        return terminals;
    }

    private void FillMemory(IReadOnlyDictionary<int, BlankTask> blanks)
    {
        request.Progress?.Stage("filling memory");
        Dictionary<int, ulong> segmentRooms = _image.Ipc.Segments.ToDictionary(segment => segment.Identity.Id, segment => SegmentAttach.Room(segment.Size, segment.HugePage));
        foreach (ProcessRecord process in _image.Living.Where(process => process.SharesMemoryWith == 0))
        {
            var memory = new MemoryRestore(blanks[process.Pid], process, _image.Pages, _pages, DescriptorFor, segmentRooms);
            memory.Run(_arena.Base + Arena.LengthWithStub);
            memory.SetFields(MappingDescriptor(process.Executable, false));
        }
        _objects.Seal();
    }
}
