using Stasis.Image;
using Stasis.Linux;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.UserFaultFd;
using Stasis.State.Memory;
using Stasis.State.Processes;
using Stasis.State.Seccomp;
using Stasis.State.SystemV;
using Stasis.State.Threads;

namespace Stasis.Engine;

/// <summary>An image read whole, but for its pages, with every id, range and count checked: nothing of it is trusted. Errors: <see cref="BadImage"/>.</summary>
public sealed class LoadedImage
{
    private const int MaxId = 1 << 22, MaxTasks = 1 << 20, MaxDescriptor = 1 << 24;
    private const ulong MaxAddress = 0x7ffffffff000, MinAddress = 4096;

    private LoadedImage(ImageReader reader)
    {
        Reader = reader;
        Manifest = reader.Manifest;
        Tree = reader.ReadJson("tree.json", ImageJson.Default.TreeRecord);
        _objects = reader.ReadJson("objects.json", ImageJson.Default.ObjectsRecord).Objects.ToDictionary(o => o.Id);
        _descriptions = reader.ReadJson("descriptors.json", ImageJson.Default.DescriptionsRecord).Descriptions.ToDictionary(d => d.Id);
        Ipc = reader.ReadJson("ipc.json", ImageJson.Default.IpcRecord);
        Losses = reader.ReadJson("losses.json", ImageJson.Default.LossesRecord).Losses;
        Pages = new PageReader(reader);
    }

    public ImageReader Reader { get; }
    public Manifest Manifest { get; }
    public TreeRecord Tree { get; }
    private readonly Dictionary<int, ObjectRecord> _objects;
    private readonly Dictionary<int, Description> _descriptions;
    public IReadOnlyDictionary<int, ObjectRecord> Objects => _objects;
    public IReadOnlyDictionary<int, Description> Descriptions => _descriptions;
    public IpcRecord Ipc { get; }
    public PageReader Pages { get; }

    /// <summary>The faithfulness report. It changes nothing about the restart; read with the rest, so that damage shows.</summary>
    public IReadOnlyList<Loss> Losses { get; }
    /// <summary>How the CPU of the checkpoint laid its extended state out.</summary>
    public ExtendedLayout ExtendedLayout { get; private set; } = new([]);
    public ProcessRecord Root => Tree.Processes[0];
    public IEnumerable<ProcessRecord> Living => Tree.Processes.Where(process => process.ZombieStatus is null);
    public int ThreadCount => Tree.Processes.Sum(process => process.Threads.Length);
    public ulong MemoryBytes => (ulong)Tree.Processes.Sum(process => process.Mappings.Sum(mapping => (long)(mapping.Pages?.Bytes ?? 0))) + (ulong)Objects.Values.Sum(o => (long)(o.Pages?.Bytes ?? 0))
        + (ulong)Ipc.Segments.Sum(s => (long)(s.Pages?.Bytes ?? 0));

    /// <summary>Of <see cref="MemoryBytes"/> what forked processes had in common, or less: it lies in the image once, and each of them gets its own.</summary>
    public ulong CommonBytes => MemoryBytes > (ulong)Pages.Length ? MemoryBytes - (ulong)Pages.Length : 0;

    /// <summary>Of <see cref="MemoryBytes"/> those in huge pages, which are counted by themselves.</summary>
    public ulong HugeBytes => (ulong)Tree.Processes.Sum(process => process.Mappings.Where(mapping => mapping.Kind == MappingKind.Object && Objects[mapping.Object].HugePage != 0).Sum(mapping => (long)(mapping.Pages?.Bytes ?? 0)))
        + (ulong)Objects.Values.Where(o => o.HugePage != 0).Sum(o => (long)(o.Pages?.Bytes ?? 0)) + (ulong)Ipc.Segments.Where(s => s.HugePage != 0).Sum(s => (long)(s.Pages?.Bytes ?? 0));

    /// <summary>What the descriptors of a thread are, by their numbers; null for one that it does not have.</summary>
    public Func<int, Description?> DescriptorsOf(ProcessRecord process, ThreadRecord thread) => number =>
    {
        DescriptorTable? table = Tree.DescriptorTables.FirstOrDefault(table => table.Id == (thread.OwnTable != 0 ? thread.OwnTable : process.DescriptorTable));
        return table?.Entries.FirstOrDefault(entry => entry.Number == number) is { } entry ? Descriptions.GetValueOrDefault(entry.Description) : null;
    };

    /// <summary>Puts another record in the place of one with the same id: what a restart was told to do differently from the image.</summary>
    internal void Replace(ObjectRecord record) => _objects[record.Id] = record;
    internal void Replace(Description record) => _descriptions[record.Id] = record;
    internal void Replace(ProcessRecord record) => Tree.Processes[Array.FindIndex(Tree.Processes, process => process.Pid == record.Pid)] = record;

    public static LoadedImage Open(string directory)
    {
        LoadedImage image;
        try
        {
            image = new LoadedImage(new ImageReader(directory));
        }
        catch (Exception error) when (error is NullReferenceException or ArgumentNullException)
        {
            throw new BadImage($"{directory} is broken: a record lacks a value"); // a null in a list
        }
        catch (ArgumentException)
        {
            throw new BadImage($"{directory} is broken: the same id stands twice in a record");
        }
        try
        {
            image.Check();
        }
        catch (Exception error) when (error is NullReferenceException or ArgumentNullException or OverflowException)
        {
            throw new BadImage($"{directory} is broken: a record lacks a value"); // a null where the records have none
        }
        return image;
    }

    private static void Require(bool condition, string what)
    {
        if (!condition) throw new BadImage($"the image is broken: {what}");
    }

    private void Check()
    {
        foreach (long clock in (ReadOnlySpan<long>)[Manifest.MonotonicNanoseconds, Manifest.BoottimeNanoseconds, Manifest.RealtimeNanoseconds])
            Require(clock is >= 0 and < 4_000_000_000_000_000_000, "a clock of its manifest");
        Require(Manifest.ExtendedStateLength is >= ExtendedLayout.LegacyAndHeader and <= 64 * 1024, "the length of its extended state");
        HashSet<int> components = [];
        Require(Manifest.ExtendedPlaces.All(place => place.Component is >= ExtendedLayout.First and < ExtendedLayout.Components && components.Add(place.Component)
            && place.Offset is >= ExtendedLayout.LegacyAndHeader and <= 64 * 1024 && place.Length is > 0 and <= 64 * 1024 && place.Offset + place.Length <= Manifest.ExtendedStateLength), "the places of its extended state");
        ExtendedLayout = new ExtendedLayout(Manifest.ExtendedPlaces);
        Require(Tree.Processes.Length is > 0 and <= MaxTasks, "the number of its processes");
        HashSet<int> pids = [], living = [], tids = [];
        HashSet<int> tables = [], usedTables = [], ownTables = [];
        var kinship = new Kinship();
        Dictionary<int, bool> bitsOfTable = [];
        Dictionary<int, ProcessRecord> owners = [];
        foreach (DescriptorTable table in Tree.DescriptorTables) CheckTable(table, tables);
        foreach (ProcessRecord process in Tree.Processes)
        {
            Require(process.Pid is > 0 and <= MaxId && pids.Add(process.Pid), $"process id {process.Pid}");
            Require(process.Parent == 0 ? process == Root || Tree.OwnPidNamespace : living.Contains(process.Parent), $"the parent of process {process.Pid}");
            if (process.ZombieStatus is null) living.Add(process.Pid);
            Require(process.Session is >= 0 and <= MaxId && process.Group is >= 0 and <= MaxId, $"session or group of process {process.Pid}");
            Require(process.ExitSignal is >= 0 and <= 64 && process.StopSignal is >= 0 and <= 64, $"a signal of process {process.Pid}");
            if (process.ZombieStatus is not null)
            {
                Require(process.Threads.Length == 0 && process.Mappings.Length == 0, $"process {process.Pid}, which has ended and still has threads or memory");
                continue;
            }
            Require(process.Threads.Length is > 0 and <= MaxTasks && (process.LeaderStatus is null ? process.Threads[0].Tid == process.Pid : process.Threads.All(thread => thread.Tid != process.Pid)), $"the threads of process {process.Pid}");
            // A thread that a signal ends takes the others along: it can only have exited.
            Require(process.LeaderStatus is null || (process.LeaderStatus & ~0xff00) == 0, $"the status of the main thread of process {process.Pid}");
            foreach (ThreadRecord thread in process.Threads)
            {
                CheckThread(thread, tids);
                CheckSeccomp(thread, Tree.SeccompFilters.Length);
            }
            Require(tables.Contains(process.DescriptorTable), $"the descriptor table of process {process.Pid}");
            usedTables.Add(process.DescriptorTable);
            CheckPartings(process, tables, usedTables, ownTables);
            Require(process.WorkingDirectory is not null && process.Root is not null && process.MemoryFields is { Auxv.Length: <= 4096 }, $"the fields of process {process.Pid}");
            Require(IsPath(process.WorkingDirectory!.Path) && IsPath(process.Root!.Path), $"the directories of process {process.Pid}");
            Require(Objects.ContainsKey(process.Executable), $"the executable of process {process.Pid}");
            Require(process.SharedPendingSignals.Length <= MaxTasks && process.SharedPendingSignals.All(s => s.Length == 128), $"the signals of process {process.Pid}");
            Require(process.SignalActions.All(a => a.Signal is > 0 and <= 64 and not (9 or 19)), $"the signal actions of process {process.Pid}");
            Require(process.IntervalTimers.All(t => t.Which is >= 0 and <= 2 && t.RemainingMicroseconds >= 0 && t.IntervalMicroseconds >= 0), $"the timers of process {process.Pid}");
            Require(process.PosixTimers.Length <= MaxTasks && process.PosixTimers.All(t => t.Id >= 0), $"the timers of process {process.Pid}");
            Require(process.Limits.All(l => l.Resource is >= 0 and < 16 && l.Soft <= l.Hard), $"the limits of process {process.Pid}");
            Require(process is { TransparentHugePagesDisabled: >= 0 and < 16, MemoryDenyWriteExecute: >= 0 and < 16, AutogroupNice: >= -20 and <= 19, ProtectionKeys: >= 0 and < 1 << ProtectionKeys.Last + 1 } && (process.ProtectionKeys & 1) == 0 && FutexHash.WellFormed(process.FutexHashSlots), $"the settings of process {process.Pid}");
            CheckMappings(process);
            MappingRecord[] contexts = [.. process.Mappings.Where(mapping => mapping.Kind == MappingKind.AsyncContext)];
            Require(contexts.Length == process.AsyncContexts.Length && contexts.Zip(process.AsyncContexts.OrderBy(context => context.Address)).All(pair => pair.Second.WellFormed && pair.First.Shared && pair.First.Start == pair.Second.Address && pair.First.Length == (ulong)pair.Second.Content.Length),
                $"the asynchronous I/O of process {process.Pid}");
            Require(!process.ThirtyTwoBit || process.Threads[0].Trace is null && process.Mappings.All(mapping => mapping.End <= Compat.HighestAddress), $"the memory of 32-bit process {process.Pid}");
            Require(!process.ThirtyTwoBit || process.SharedPendingSignals.Concat(process.Threads.SelectMany(thread => thread.PendingSignals)).All(signal => BitConverter.ToInt32(signal) != Linux.Signals.SIGTRAP),
                $"the signals of 32-bit process {process.Pid}");
            CheckSharing(process, kinship, owners);
            // What is shared at birth, execve parts: only processes of the same kind can share it.
            Require((process.SharesMemoryWith == 0 || Tree.Processes.First(other => other.Pid == process.SharesMemoryWith).ThirtyTwoBit == process.ThirtyTwoBit)
                && (bitsOfTable.TryAdd(process.DescriptorTable, process.ThirtyTwoBit) || bitsOfTable[process.DescriptorTable] == process.ThirtyTwoBit), $"what process {process.Pid} shares with one of another kind");
        }
        foreach (ProcessRecord process in Tree.Processes) CheckTraces(process);
        Require(Root.ZombieStatus is null, "its root has ended");
        Require(Tree.SeccompFilters.All(filter => filter.WellFormed), "a seccomp filter");
        IpcCheck.Run(Ipc, Tree, (pages, start, end) => InOrder(Pages.Of(pages), pages.Bytes, start, end), Require);
        Require(tables.SetEquals(usedTables), "a descriptor table that no process uses");
        Require(Tree.Processes.All(process => !ownTables.Contains(process.DescriptorTable)), "a process with the descriptor table of a thread");
        // The kernel never shows these in fdinfo; opening with them would change files.
        const int Creating = Linux.OpenFlags.O_CREAT | Linux.OpenFlags.O_EXCL | Linux.OpenFlags.O_TRUNC;
        foreach (Description description in Descriptions.Values) Require((description.Flags & Creating) == 0 && description.Id > 0, $"the flags of open file description {description.Id}");
        foreach (UserFaultFdRecord watching in Descriptions.Values.OfType<UserFaultFdRecord>())
            Require(Living.FirstOrDefault(process => process.Pid == watching.Process) is { } watched && watching.Fits(watched), $"the memory that open file description {watching.Id} watches");
        foreach (ObjectRecord file in Objects.Values)
        {
            Require(file.Permissions is >= 0 and <= 0xFFF, $"the permissions of object {file.Id}");
            // A number in the place of a kind's name is read as it is, whether there is such a kind or not.
            Require(Enum.IsDefined(file.Kind) && file.Path.Length < 4096 && !file.Path.Contains('\0') && file.Size >= 0, $"object {file.Id}");
            Require(file.Kind is ObjectKind.SharedAnonymous or ObjectKind.MemoryFile || file.Path.StartsWith('/'), $"the path of object {file.Id}");
            Require(file.HugePage == 0 || Linux.HugePages.IsPageSize(file.HugePage) && file.Size < 1L << 60 && file.Size % (long)file.HugePage == 0, $"the pages of object {file.Id}");
            if (file.Pages is { } pages) Require(InOrder(Pages.Of(pages), pages.Bytes, 0, ((ulong)file.Size + 4095) & ~4095ul), $"the content of object {file.Id}");
        }
    }

    // Parents and owners come first.
    private static void CheckSharing(ProcessRecord process, Kinship kinship, Dictionary<int, ProcessRecord> earlier)
    {
        Require(process.SharesMemoryWith == 0 ? process.Mappings.Length > 0 : process.Mappings.Length == 0 && earlier.TryGetValue(process.SharesMemoryWith, out ProcessRecord? memory) && memory.SharesMemoryWith == 0,
            $"the memory of process {process.Pid}");
        Require(process.SharesHandlersWith == 0 || process.SharesMemoryWith != 0 && earlier.TryGetValue(process.SharesHandlersWith, out ProcessRecord? handlers) && handlers.SharesHandlersWith == 0,
            $"the signal handlers of process {process.Pid}");
        Require(process.SharesPlacesWith == 0 || earlier.TryGetValue(process.SharesPlacesWith, out ProcessRecord? places) && places.SharesPlacesWith == 0, $"the directories of process {process.Pid}");
        Require(kinship.Add(Kin.Of(process)) is not null, $"what process {process.Pid} shares, with neither its parent nor a sibling");
        earlier[process.Pid] = process;
    }

    // What threads have of their own, apart from their process, is no other process's, and the first thread has nothing of the kind.
    private static void CheckPartings(ProcessRecord process, HashSet<int> tables, HashSet<int> used, HashSet<int> ofThreads)
    {
        Require(process.Threads[0] is { OwnPlaces: null, SharesPlacesWith: 0, OwnTable: 0 }, $"what the first thread of process {process.Pid} has of its own");
        Require(process.Threads.All(thread => thread.OwnPlaces is not { } own || IsPath(own.WorkingDirectory.Path) && IsPath(own.Root.Path)), $"the directories of the threads of process {process.Pid}");
        HashSet<int> places = [], own = [];
        foreach (ThreadRecord thread in process.Threads)
        {
            Require(thread.SharesPlacesWith == 0 || thread.OwnPlaces is null && places.Contains(thread.SharesPlacesWith), $"the directories of thread {thread.Tid}");
            if (thread.OwnPlaces is not null) places.Add(thread.Tid);
            if (thread.OwnTable == 0) continue;
            Require(tables.Contains(thread.OwnTable) && (own.Contains(thread.OwnTable) || used.Add(thread.OwnTable)), $"the descriptor table of thread {thread.Tid}");
            own.Add(thread.OwnTable);
        }
        ofThreads.UnionWith(own);
        Require(ThreadBirths.Plan(process) is not null, $"what the threads of process {process.Pid} share");
    }

    private static bool IsPath(string path) => path.Length is > 0 and < 4096 && !path.Contains('\0');

    private void CheckTable(DescriptorTable table, HashSet<int> tables)
    {
        Require(tables.Add(table.Id), $"descriptor table {table.Id}");
        HashSet<int> numbers = [];
        foreach (DescriptorEntry entry in table.Entries)
            Require(entry.Number is >= 0 and < MaxDescriptor && numbers.Add(entry.Number) && Descriptions.ContainsKey(entry.Description), $"descriptor {entry.Number}");
        Require(table.Locks.All(l => numbers.Contains(l.Number) && FileLock.IsRange(l.Start, l.End)), $"the locks of table {table.Id}");
    }

    private static void CheckSeccomp(ThreadRecord thread, int filters)
    {
        SeccompRecord seccomp = thread.Seccomp;
        Require(seccomp.Mode is >= SeccompRecord.Disabled and <= SeccompRecord.Filter && seccomp.Filters.Length <= SeccompRecord.MaxFilters
            && (seccomp.Filters.Length > 0) == (seccomp.Mode == SeccompRecord.Filter) && seccomp.Filters.All(place => place >= 0 && place < filters), $"the seccomp filters of thread {thread.Tid}");
    }

    private void CheckThread(ThreadRecord thread, HashSet<int> tids)
    {
        Require(thread.Tid is > 0 and <= MaxId && tids.Add(thread.Tid), $"thread id {thread.Tid}");
        Require(thread.Registers.Values.Length == RegistersRecord.Count, $"the registers of thread {thread.Tid}");
        Require(thread.ExtendedState.Length == Manifest.ExtendedStateLength && ExtendedLayout.IsStandard(thread.ExtendedState)
            && ExtendedLayout.Immovable(thread.ExtendedState, ExtendedLayout) == 0, $"the extended state of thread {thread.Tid}");
        Require(thread.PendingSignals.Length <= MaxTasks && thread.PendingSignals.All(s => s.Length == 128), $"the signals of thread {thread.Tid}");
        Require(thread.Affinity.Length is > 0 and <= 1024 && thread.Comm.Length <= 64, $"the scheduling of thread {thread.Tid}");
        Require(thread.Settings.WellFormed, $"the settings of thread {thread.Tid}");
        Require(thread.WaitLeft is null or (>= 0 and <= TimedWait.Longest), $"the wait of thread {thread.Tid}");
        Require(thread.Segments.Length <= 3 && thread.Segments.All(segment => segment.IsWellFormed()), $"the segments of thread {thread.Tid}");
        Require(thread.Credentials is { Uids.Length: 4, Gids.Length: 4, Groups.Length: <= 65536 }, $"the credentials of thread {thread.Tid}");
    }

    // A tracer lives in another process, that runs and that nobody traces; it holds all threads of a process or none.
    private void CheckTraces(ProcessRecord process)
    {
        foreach (ThreadRecord thread in process.Threads)
        {
            Require(thread.Trace is null == process.Threads[0].Trace is null && (thread.Trace is null || process.StopSignal == 0), $"how thread {thread.Tid} is traced");
            if (thread.Trace is not { } trace) continue;
            Require(process.LeaderStatus is null && process.SharesMemoryWith == 0 && Tree.Processes.All(one => one.SharesMemoryWith != process.Pid), $"process {process.Pid}, which is traced and shares its memory or has no main thread");
            Require(Enum.IsDefined(trace.Stop) && Enum.IsDefined(trace.Go) && (trace.Go == TraceGo.GoesInCall) == (trace is { Go: not TraceGo.Stays, Stop: TraceStop.SyscallExit }) && (trace.Go == TraceGo.Stays || !trace.Reported) && (!trace.StopAsked || trace is { Seized: true, Go: TraceGo.Stays }) && (trace.Options & ~TraceState.AllOptions) == 0 && trace.SignalInformation.Length == 128
                && trace.DebugRegisters.Length == TraceState.DebugRegisterNumbers.Length, $"how thread {thread.Tid} is traced");
            ProcessRecord? owner = Tree.Processes.FirstOrDefault(candidate => candidate.Threads.Any(one => one.Tid == trace.Tracer));
            Require(owner is { StopSignal: 0 } && owner != process && owner.Threads[0].Trace is null, $"the tracer of thread {thread.Tid}");
        }
    }

    private void CheckMappings(ProcessRecord process)
    {
        ulong end = MinAddress;
        foreach (MappingRecord mapping in process.Mappings)
        {
            Require(mapping.Start >= end && mapping.End > mapping.Start && mapping.End <= MaxAddress && (mapping.Start | mapping.End | mapping.Offset) % 4096 == 0,
                $"mapping {mapping.Start:x}-{mapping.End:x} of process {process.Pid}");
            Require(Enum.IsDefined(mapping.Kind), $"the kind of mapping {mapping.Start:x} of process {process.Pid}");
            Require(mapping.Kind != MappingKind.Object || Objects.ContainsKey(mapping.Object), $"the object of mapping {mapping.Start:x} of process {process.Pid}");
            Require(mapping.Kind != MappingKind.Ring || mapping.Shared && Descriptions.GetValueOrDefault(mapping.Object) is State.Descriptors.IoUring.IoUringRecord, $"the io_uring of mapping {mapping.Start:x} of process {process.Pid}");
            Require(mapping.Kind != MappingKind.PacketRing || mapping.Shared && Descriptions.GetValueOrDefault(mapping.Object) is State.Descriptors.PacketSocket.PacketSocketRecord { Ring: { } packets } && mapping.Whole == (ulong)packets.Length && mapping.Offset < mapping.Whole && mapping.Length <= mapping.Whole - mapping.Offset, $"the ring of packets of mapping {mapping.Start:x} of process {process.Pid}");
            Require(mapping.Protection is >= 0 and <= 7 && mapping.Key is >= 0 and <= ProtectionKeys.Last && (mapping.Key == 0 || mapping.Kind != MappingKind.Kernel) && mapping.Name.Length < 256, $"mapping {mapping.Start:x} of process {process.Pid}");
            Require(mapping.Policies is null || ArePolicies(mapping.Policies, mapping), $"the memory policies of mapping {mapping.Start:x} of process {process.Pid}");
            ulong page = mapping.Kind == MappingKind.Object ? Objects[mapping.Object].HugePage : 0;
            Require(page == 0 || (mapping.Start | mapping.End | mapping.Offset) % page == 0, $"the pages of mapping {mapping.Start:x} of process {process.Pid}");
            Require(mapping.Guards.All(g => g.Start >= mapping.Start && g.End <= mapping.End && g.Start < g.End), $"guard pages of mapping {mapping.Start:x}");
            if (mapping.Pages is { } pages) Require(!mapping.Shared && InOrder(Pages.Of(pages), pages.Bytes, mapping.Start, mapping.End), $"the pages of mapping {mapping.Start:x} of process {process.Pid}");
            end = mapping.End;
        }
    }

    private static bool ArePolicies(PolicyRun[] runs, MappingRecord mapping)
    {
        ulong start = mapping.Start;
        foreach (PolicyRun run in runs)
        {
            if (run.Start < start || run.End <= run.Start || run.End > mapping.End || (run.Start | run.End) % 4096 != 0 || !run.Policy.WellFormed) return false;
            start = run.End;
        }
        return true;
    }

    // Within a range, one behind the other, and as many bytes as the record says.
    private static bool InOrder(ReadOnlySpan<SavedRun> runs, ulong bytes, ulong start, ulong end)
    {
        ulong sum = 0;
        foreach (SavedRun run in runs)
        {
            if (run.Address < start || run.Address > end || run.Length > end - run.Address) return false;
            start = run.Address + run.Length;
            sum += run.Length;
        }
        return sum == bytes;
    }
}
