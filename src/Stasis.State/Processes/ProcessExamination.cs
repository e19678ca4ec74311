using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.AsynchronousIo;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.IoUring;
using Stasis.State.Descriptors.PacketSocket;
using Stasis.State.Descriptors.UserFaultFd;
using Stasis.State.Memory;
using Stasis.State.Seccomp;
using Stasis.State.SystemV;

namespace Stasis.State.Processes;

/// <summary>Looks for everything in a surveyed tree that can't be carried. Touches nothing; may run on a running tree.</summary>
public static class ProcessExamination
{
    /// <param name="tracer">Our own pid when the tree is frozen by us: we are then its tracer.</param>
    public static ExamineContext Run(TreeSurvey tree, ProblemList problems, int tracer, IReadOnlySet<(int Pid, int Number)> external, OutsideSocketPolicy outsideSockets, bool carriesClients)
    {
        List<Sighting> all = [.. tree.Processes.SelectMany(process => process.AllDescriptors)];
        var context = new ExamineContext
        {
            Problems = problems,
            External = external,
            OutsideSockets = outsideSockets,
            CarriesClients = carriesClients,
            All = all,
            Frozen = tracer != 0,
            Tree = tree.Processes.SelectMany(process => (int[])[process.Pid, process.Face, .. process.OwnDescriptors.Keys]).ToHashSet(),
            Ipc = LookAtIpc(tree),
            OfRequester = tree.Processes.FirstOrDefault(process => Requester.Is(process.Pid)) is { } requester ? ProcessSurvey.DescriptorsOf(requester.Pid, requester.Command, new ProblemList()) : [],
        };
        var catalogue = new ObjectCatalogue();
        foreach (ProcessSurvey process in tree.Processes.Where(process => !process.Zombie))
        {
            Namespaces(process, tree, problems);
            Tasks(process, tree, problems, tracer);
            UncarriedSettings.Examine(process, problems);
            Mappings(process, all, context.Frozen, problems, catalogue);
            WatchedMemory.Examine(process, problems);
        }
        Requester.Examine(tree, problems);
        TraceExamination.Zombies(tree, problems);
        SegmentExamination.Run(tree, context.Ipc, problems, context.Frozen);
        Sharing(tree, problems, tracer);
        if (!context.Frozen) SharedOutside(tree, context, problems);
        if (!context.Frozen) TraceExamination.Outside(tree, null, problems);
        // The list grows while it is walked: what is inside may have something inside again.
        for (int i = 0; i < all.Count; i++) Look(all[i], context, sighting => all.AddRange(DescriptorKinds.Alone(sighting, context).Inside(sighting, context)));
        foreach (Sighting sighting in all)
        {
            Look(sighting, context, _ =>
            {
                if (DescriptorKinds.Of(sighting, context) is { } kind) kind.Examine(sighting, context);
                else context.Refuse(sighting, "this kind of descriptor is not carried yet", "let the program close it first");
            });
        }
        return context;
    }

    // A program that runs may close what was seen and open something else under its number. The frozen look sees what is there then.
    private static void Look(Sighting sighting, ExamineContext context, Action<Sighting> look)
    {
        try { look(sighting); }
        catch (KernelRefusal) when (!context.Frozen && IsAnother(sighting.Bearer)) { }
    }

    // What was seen may itself be the name of one and the inode of the next.
    private static bool IsAnother(Sighting sighting)
    {
        string path = $"/proc/{sighting.Pid}/fd/{sighting.Number}";
        (SysResult linked, string link) = Files.ReadLink(path);
        (SysResult found, FileStatus status) = Files.Status(path);
        return linked.Failed || link != sighting.Link || found.Failed || status.Inode != sighting.Status.Inode;
    }

    // What lives in a namespace that can't be entered is refused for that.
    private static IpcSurvey LookAtIpc(TreeSurvey tree)
    {
        try
        {
            return IpcSurvey.Take(tree);
        }
        catch (KernelRefusal refusal) when (refusal.Errno is Errno.EPERM or Errno.ENOENT or Errno.ESRCH) { return IpcSurvey.Empty; }
    }

    private static void Namespaces(ProcessSurvey process, TreeSurvey tree, ProblemList problems)
    {
        bool ownPidNamespace = RunNamespace.IsInit(tree.Root.Stat.ParentPid);
        foreach (string name in (ReadOnlySpan<string>)["user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"])
        {
            (SysResult result, string theirs) = Files.ReadLink($"/proc/{process.Face}/ns/{name}");
            string ours = Files.ReadLink($"/proc/self/ns/{name}").Target;
            if (result.Failed || theirs == ours) continue;
            // A tree that was restarted lives by clocks of its own; its offsets go into the image.
            if (name == "time" && theirs == Files.ReadLink($"/proc/{tree.Root.Face}/ns/time").Target && theirs == Files.ReadLink($"/proc/{process.Face}/ns/time_for_children").Target) continue;
            if (ownPidNamespace && name is "pid" or "mnt" or "ipc" && theirs == Files.ReadLink($"/proc/{tree.Root.Face}/ns/{name}").Target) continue;
            problems.Add(process.Pid, process.Command, "", $"it lives in another {name} namespace than this stasis",
                name == "pid" || name == "mnt" ? "run stasis inside that namespace, or start the program with `stasis run`" : "run stasis inside that namespace (nsenter)");
        }
    }

    private static void Tasks(ProcessSurvey process, TreeSurvey tree, ProblemList problems, int tracer)
    {
        foreach (int tid in process.Tids)
        {
            ProcStatus? status = tid == process.Pid ? process.Status : ProcStatus.Read($"/proc/{process.Pid}/task/{tid}");
            if (status is null || tid == process.Pid && process.LeaderEnded) continue;
            string what = tid == process.Pid ? "" : $"thread {tid}";
            if (status.Number("TracerPid") is var other && other != 0 && other != tracer)
            {
                TraceExamination.Task(process, tid, (int)other, tree, problems, tracer);
                if (status.Number("Seccomp") != SeccompRecord.Disabled && TraceExamination.Confined(tid, (int)other) is { } confined)
                    problems.Add(process.Pid, process.Command, what, confined.Why, confined.Advice);
            }
            if (status.Number("Seccomp") != SeccompRecord.Disabled && SeccompRights.Missing() is { } missing)
                problems.Add(process.Pid, process.Command, what, $"it is confined by seccomp, and {missing.Why}", missing.Advice);
            if (process.LeaderEnded && other != 0 && other != tracer)
                problems.Add(process.Pid, process.Command, what, "it is traced and its main thread has ended, which is not carried yet", "end the debugger or strace session first");
        }
        if (process.ThirtyTwoBit) CompatExamination.Run(process, tree, problems);
    }

    // Flags of smaps that mean memory of another nature (man 5 proc_pid_smaps).
    private static readonly (string Flag, string Why)[] s_refusedFlags =
    [
        ("io", "memory of a device can't be carried"), ("pf", "memory of a device can't be carried"),
        ("ss", "a shadow stack is not carried yet"), ("dp", "memory that vanishes under pressure (MAP_DROPPABLE) is not carried yet"),
    ];

    private static void Mappings(ProcessSurvey process, IReadOnlyList<Sighting> all, bool frozen, ProblemList problems, ObjectCatalogue catalogue)
    {
        foreach (ProcMapping mapping in process.Mappings)
        {
            if (KernelMappings.Is(mapping)) continue;
            foreach ((string flag, string why) in s_refusedFlags)
                if (mapping.Has(flag)) problems.Add(process.Pid, process.Command, $"mapping {mapping.Description}", why, "start the program without it");
            if (RingMappings.Is(mapping))
            {
                if (RingMappings.Problem(mapping, all) is { } problem) problems.Add(process.Pid, process.Command, $"mapping {mapping.Description}", problem, "let the program unmap it, or start it with io_uring off");
                continue;
            }
            if (PacketRingMappings.Is(mapping))
            {
                if (PacketRingMappings.Problem(mapping, all) is { } problem) problems.Add(process.Pid, process.Command, $"mapping {mapping.Description}", problem, "let the program unmap it");
                continue;
            }
            if (AsyncContexts.Is(mapping))
            {
                if (AsyncContexts.Problem(process.Face, mapping, frozen) is not { } problem) continue;
                if (problem.Passes) problems.AddPassing(process.Pid, process.Command, $"mapping {mapping.Description}", problem.Why, problem.Advice);
                else problems.Add(process.Pid, process.Command, $"mapping {mapping.Description}", problem.Why, problem.Advice);
                continue;
            }
            if (mapping.Inode == 0 || SegmentAttach.Is(mapping)) continue;
            (CataloguedObject? found, string? reason, string? advice) = catalogue.OfMapping(process.Face, mapping);
            if (found is null)
            {
                // The mapping may be gone by now: a check looks at a running process.
                if (Files.ReadLink($"/proc/{process.Face}/map_files/{mapping.Range}").Result.Errno is Errno.ENOENT or Errno.ESRCH) continue;
                problems.Add(process.Pid, process.Command, $"mapping {mapping.Description}", reason!, advice!);
            }
        }
    }

    /// <summary>
    /// Memory shared with a process outside the tree (shared anonymous memory, a memfd) would be two memories after the restart. Looked
    /// for before the freeze only, as it takes a look at every other process.
    /// </summary>
    private static void SharedOutside(TreeSurvey tree, ExamineContext context, ProblemList problems)
    {
        var shared = new Dictionary<(string Identity, bool Segment), (ProcessSurvey Process, ProcMapping Mapping)>();
        foreach (ProcessSurvey process in tree.Processes)
            foreach (ProcMapping mapping in process.Mappings.Where(mapping => mapping.Shared && (mapping.Name is "/dev/zero (deleted)" or ObjectCatalogue.AnonymousHugePages || mapping.Name.StartsWith("/memfd:", StringComparison.Ordinal) || SegmentAttach.Is(mapping))))
                shared.TryAdd(($" {mapping.DeviceMajor:x2}:{mapping.DeviceMinor:x2} {mapping.Inode} ", SegmentAttach.Is(mapping)), (process, mapping));
        if (shared.Count == 0) return;
        foreach (string name in Files.List("/proc").Names)
        {
            if (!int.TryParse(name, out int pid) || context.Tree.Contains(pid) || pid == Environment.ProcessId) continue;
            string maps = Files.ReadText($"/proc/{pid}/maps").Text;
            if (maps.Length == 0) continue;
            foreach (((string identity, bool segment), (ProcessSurvey process, ProcMapping mapping)) in shared)
                if (maps.Contains(identity, StringComparison.Ordinal) && Maps(maps, identity, segment) && (!segment || IpcNamespace.AreSame(pid, process.Face)) && !DescendsFromTree(pid, context.Tree))
                    problems.Add(process.Pid, process.Command, $"mapping {mapping.Description}", $"it shares this memory with process {pid} ({ProcStat.Read(pid)?.Comm}), which is not among its descendants", "checkpoint a common ancestor of both");
        }
    }

    // The number of a segment, which is its id, may also be that of other shared memory.
    private static bool Maps(string maps, string identity, bool segment) =>
        maps.Split('\n').Any(line => line.Contains(identity, StringComparison.Ordinal) && line.Contains(" /SYSV", StringComparison.Ordinal) == segment);

    // Born since the survey, or gone by now: neither is outside.
    internal static bool DescendsFromTree(int pid, IReadOnlySet<int> tree)
    {
        for (int depth = 0; depth < 1000; depth++)
        {
            if (ProcStat.Read(pid) is not { } stat || tree.Contains(stat.ParentPid)) return true;
            if (stat.ParentPid <= 1) return false;
            pid = stat.ParentPid;
        }
        return false;
    }

    private static void Sharing(TreeSurvey tree, ProblemList problems, int tracer)
    {
        try
        {
            var sharing = TreeSharing.Of(tree);
            HashSet<int> inVfork = Vfork(tree, sharing, problems);
            TraceExamination.SharedMemory(tree, sharing, problems);
            var kinship = new Kinship();
            foreach (ProcessSurvey process in tree.Processes.Where(process => !process.Zombie))
            {
                var kin = new Kin(process.Pid, process == tree.Root ? 0 : process.Stat.ParentPid, process.Stat.Session, process.Stat.ExitSignal, sharing.Owner(process.Pid, Kcmp.Kind.Vm),
                    sharing.Owner(process.Pid, Kcmp.Kind.Sighand), sharing.Owner(process.Pid, Kcmp.Kind.Fs), sharing.Owner(process.Pid, Kcmp.Kind.Files));
                if (kinship.Add(kin) is null && !inVfork.Contains(process.Pid))
                    problems.Add(process.Pid, process.Command, "", "it shares its memory, directories or descriptors with a process that is neither its parent nor its sibling, which is not carried yet", "there is no way around it yet");
            }
            SharedByParted(tree, Kcmp.Kind.Files, "descriptor table", process => process.Partings.Tables, problems);
            SharedByParted(tree, Kcmp.Kind.Fs, "working directory", process => process.Partings.Places, problems);
            OutsideParent(tree.Root, problems);
        }
        catch (Exception error) when (error is KernelRefusal or InvalidOperationException) { } // a process ended meanwhile; the frozen look is the true one
    }

    // A process is made before the threads are, so it can't be made by one of them.
    private static void SharedByParted(TreeSurvey tree, Kcmp.Kind kind, string what, Func<ProcessSurvey, IEnumerable<int>> parted, ProblemList problems)
    {
        foreach (ProcessSurvey process in tree.Processes.Where(process => !process.Zombie))
            foreach (int tid in parted(process))
                foreach (ProcessSurvey other in tree.Processes.Where(other => other != process && !other.Zombie))
                    if (parted(other).Append(other.Face).Any(one => Kcmp.Compare(tid, one, kind) == 0))
                        problems.Add(other.Pid, other.Command, "", $"it shares its {what} with thread {tid} of process {process.Pid}, which has parted from that process, and this is not carried yet", "there is no way around it yet");
    }

    // The processes that borrow their parent's memory, each a problem that passes.
    private static HashSet<int> Vfork(TreeSurvey tree, TreeSharing sharing, ProblemList problems)
    {
        HashSet<int> borrowing = [.. sharing.Sharers(Kcmp.Kind.Vm).Select(pair => pair.Pid)];
        HashSet<int> waiting = [.. tree.Processes.Where(process => borrowing.Contains(process.Pid)).Select(process => process.Stat.ParentPid)];
        HashSet<int> found = [];
        foreach (ProcessSurvey parent in tree.Processes.Where(process => waiting.Contains(process.Pid)))
        {
            // One child for each waiting thread; who shares the memory for longer was born before.
            int threads = parent.Tids.Count(tid => VforkWait.Is(parent.Pid, tid));
            foreach (ProcessSurvey child in tree.Processes.Where(process => borrowing.Contains(process.Pid) && process.Stat.ParentPid == parent.Pid)
                .OrderByDescending(process => (process.Stat.StartTimeTicks, process.Pid)).Take(threads))
            {
                problems.AddPassing(parent.Pid, parent.Command, $"child {child.Pid}", $"it {VforkWait.Why}", VforkWait.Advice);
                found.Add(child.Pid);
            }
        }
        return found;
    }

    // What the root shares with its parent, who is not in the tree, would be two things after the restart.
    private static void OutsideParent(ProcessSurvey root, ProblemList problems)
    {
        if (root.Stat.ParentPid <= 0) return;
        bool inVfork = ProcessSurvey.TidsOf(root.Stat.ParentPid).Any(tid => VforkWait.Is(root.Stat.ParentPid, tid));
        foreach ((Kcmp.Kind kind, string what) in (ReadOnlySpan<(Kcmp.Kind, string)>)[(Kcmp.Kind.Vm, "memory"), (Kcmp.Kind.Fs, "working directory"), (Kcmp.Kind.Files, "descriptor table")])
        {
            if (Kcmp.Compare(root.Stat.ParentPid, root.Face, kind) != 0) continue;
            if (inVfork) problems.AddPassing(root.Pid, root.Command, "", $"its parent, process {root.Stat.ParentPid}, {VforkWait.Why}", VforkWait.Advice);
            else problems.Add(root.Pid, root.Command, "", $"it shares its {what} with its parent, process {root.Stat.ParentPid}, which is not in the tree", "checkpoint that parent, with all its descendants");
        }
    }
}

/// <summary>The mappings that the kernel itself puts into a process.</summary>
public static class KernelMappings
{
    public static bool Is(ProcMapping mapping) => mapping.Name is "[vdso]" or "[vvar]" or "[vvar_vclock]" or "[vsyscall]" or "[uprobes]";
    public static bool Moves(ProcMapping mapping) => mapping.Name is "[vdso]" or "[vvar]" or "[vvar_vclock]";
}
