using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State;
using Stasis.State.Descriptors;
using Stasis.State.Memory;
using Stasis.State.Processes;
using Stasis.State.Seccomp;
using Stasis.State.SystemV;
using Stasis.State.Threads;

namespace Stasis.Engine.Restart;

/// <summary>Checks everything an image needs against this host and reports all that is missing, with nothing created.</summary>
internal sealed class RestartPlan(LoadedImage image, RestartRequest request)
{
    private readonly ProblemList _problems = new();
    private readonly HashSet<int> _mapped = [.. image.Living.SelectMany(process => process.Mappings).Where(mapping => mapping.Kind == MappingKind.Object).Select(mapping => mapping.Object)];
    /// <summary>Why the clocks can't go on as was asked for; else null.</summary>
    public required string? ClockProblem { get; init; }

    public bool NewPidNamespace => request.NewPidNamespace || image.Tree.OwnPidNamespace;

    /// <param name="probe">A blank process, which shows what this kernel and CPU give to every process.</param>
    public void Check(BlankTask probe, string vdsoHash, string compatVdsoHash)
    {
        // First: everything else is planned with what the user puts in the place of what was.
        var bindings = new ImageBindings(image, request.Bindings, _problems);
        if (request.Tcp == TcpPolicy.Close) bindings.CloseConnections();
        bindings.Apply();
        Host(probe, vdsoHash, compatVdsoHash);
        if (!NewPidNamespace)
        {
            Ids();
            LeaderIds();
            StepAside();
        }
        Objects();
        Places();
        foreach (ProcessRecord process in image.Living)
            foreach (State.AsynchronousIo.AsyncContextRecord asynchronous in process.AsyncContexts)
                if (State.AsynchronousIo.AsyncContexts.PlanProblem(asynchronous) is { } problem) Add(process, $"mapping {asynchronous.Address:x}", problem.Why, problem.Advice);
        Confinement();
        AuditLogins();
        Limits();
        Tracing();
        new MemoryPlan(image, _problems).Check();
        IpcPlan.Check(image.Ipc, _problems, NewPidNamespace, image.Tree.Processes.Select(process => process.Pid).ToHashSet());
        var context = new PlanContext
        {
            Problems = _problems,
            Descriptions = image.Descriptions,
            Objects = image.Objects,
            HolderOf = HolderOf,
            HasTask = (id, thread) => image.Tree.Processes.Any(process => process.Pid == id || thread && process.Threads.Any(t => t.Tid == id)),
            IsProcess = image.Living.Select(process => process.Pid).ToHashSet().Contains,
            NewIpcNamespace = NewPidNamespace,
            HasStored = name => image.Reader.Has($"content/{name}"),
        };
        foreach (Description description in image.Descriptions.Values) DescriptorKinds.Of(description).Plan(description, context);
        if (_problems.Any) throw new Refused($"{image.Reader.Directory} can't be restarted here", _problems.All);
    }

    private void Add(ProcessRecord process, string what, string why, string advice) => _problems.Add(process.Pid, process.Comm, what, why, advice);

    private void Host(BlankTask probe, string vdsoHash, string compatVdsoHash)
    {
        byte[] area = probe.Tracee.ExtendedState;
        foreach (ProcessRecord process in image.Living.ToArray())
        {
            if (ProtectionKeys.Uses(process) && (ExtendedLayout.FeaturesOf(area) >> ExtendedLayout.Pkru & 1) == 0) Add(process, "", "it uses memory protection keys, which this CPU does not have", "restart on a CPU with the same features");
            image.Replace(process with { Threads = [.. process.Threads.Select(thread => OnThisCpu(process, thread, area))] });
        }
        if (image.Living.FirstOrDefault(process => process.ThirtyTwoBit) is { } compat && compatVdsoHash != image.Manifest.CompatVdsoHash)
            Add(compat, "", compatVdsoHash.Length == 0 ? "it is a 32-bit program, and this kernel runs none" : "it is a 32-bit program, and their vdso is another one here than in the image", compatVdsoHash.Length == 0 ? "restart where 32-bit programs run" : "restart under the same kernel");
        if (image.Manifest.VdsoHash.Length > 0 && vdsoHash != image.Manifest.VdsoHash)
            _problems.Add(0, "", "", $"its kernel ({Files.ReadText("/proc/sys/kernel/osrelease").Text.Trim()}) has another vdso than the image's ({image.Manifest.KernelRelease})", "restart under the same kernel");
        if (ClockProblem is { } why) _problems.Add(0, "", "", $"its clocks can't go on from where they were: {why}", "run stasis as root, or restart with --clock real");
        long available = AvailableMemory();
        ulong needed = image.MemoryBytes - image.HugeBytes;
        string common = image.CommonBytes >> 20 is var megabytes and > 0 ? $" ({megabytes} MiB of it as forked processes had that in common, and each gets its own)" : "";
        if (available > 0 && (long)needed > available)
            _problems.Add(0, "", "", $"the image needs {needed >> 20} MiB of memory{common} and {available >> 20} MiB are free", "free some memory");
    }

    // The thread with its extended state laid out as this CPU has it, of which `here` is an area.
    private ThreadRecord OnThisCpu(ProcessRecord process, ThreadRecord thread, byte[] here)
    {
        void Lacks(string why) => Add(process, $"thread {thread.Tid}", why, "restart on a CPU with the same features");
        ExtendedLayout layout = image.ExtendedLayout;
        ulong missing = ExtendedLayout.InUse(thread.ExtendedState) & ~ExtendedLayout.FeaturesOf(here), immovable = layout.Immovable(thread.ExtendedState, ExtendedLayout.Here) & ~missing;
        if (missing != 0) Lacks($"it uses CPU state that this CPU does not have (xsave features {missing:x})");
        if (immovable != 0) Lacks($"it uses CPU state for which this CPU has no room of the same size (xsave features {immovable:x})");
        if (ExtendedLayout.UnknownMxcsr(thread.ExtendedState, here) is var unknown and not 0) Lacks($"it has set bits of MXCSR that this CPU does not have ({unknown:x})");
        return missing != 0 || immovable != 0 ? thread : thread with { ExtendedState = layout.Move(thread.ExtendedState, ExtendedLayout.Here, here.Length) };
    }

    private static long AvailableMemory()
    {
        string line = Files.ReadText("/proc/meminfo").Text.Split('\n').FirstOrDefault(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal)) ?? "";
        return line.Length > 0 && long.TryParse(line["MemAvailable:".Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), out long kilobytes) ? kilobytes * 1024 : 0;
    }

    private void Ids()
    {
        int highest = int.TryParse(Files.ReadText("/proc/sys/kernel/pid_max").Text.Trim(), out int max) ? max : 32768;
        foreach (ProcessRecord process in image.Tree.Processes)
        {
            foreach (int id in process.Threads.Select(t => t.Tid).Prepend(process.Pid).Distinct())
            {
                string what = id == process.Pid ? "" : $"thread {id}";
                if (id >= highest) Add(process, what, $"id {id} is above this host's limit ({highest})", "raise kernel.pid_max, or restart with --new-pid-namespace");
                else if (ProcStatus.Read($"/proc/{id}") is { } holder) // also a thread has a name there
                    Add(process, what, $"id {id} is taken by {holder.Text("Name")}", "end that process, or restart with --new-pid-namespace");
            }
        }
    }

    // Sessions and groups whose leader has ended are opened by a helper with the leader's id.
    private void LeaderIds()
    {
        HashSet<int> own = [.. image.Tree.Processes.Select(process => process.Pid)];
        foreach (ProcessRecord process in image.Tree.Processes)
            foreach ((int id, int outside, string what) in (ReadOnlySpan<(int, int, string)>)[(process.Session, image.Tree.OutsideSession, "session"), (process.Group, image.Tree.OutsideGroup, "process group")])
                if (id != outside && !own.Contains(id) && ProcStatus.Read($"/proc/{id}") is { } holder)
                    Add(process, $"{what} {id}", $"id {id} is taken by {holder.Text("Name")}", "end that process, or restart with --new-pid-namespace");
    }

    // Threads and helpers that we are about to start must not take ids of the image: let the kernel count on from behind them.
    private void StepAside()
    {
        const string LastPid = "/proc/sys/kernel/ns_last_pid";
        int highest = image.Tree.Processes.Max(process => process.Threads.Select(thread => thread.Tid).Append(process.Pid).Max());
        if (int.TryParse(Files.ReadText(LastPid).Text.Trim(), out int last) && last < highest) Files.WriteText(LastPid, $"{highest}");
    }

    private void Objects()
    {
        Dictionary<int, (ProcessRecord User, string What)> users = Users();
        foreach ((int id, (ProcessRecord user, string what)) in users)
        {
            ObjectRecord file = image.Objects[id];
            if (file.Kind == ObjectKind.Deleted && Files.Status(System.IO.Path.GetDirectoryName(file.Path) ?? "/").Result.Failed)
                Add(user, $"{what} of {file.Path}", "the directory of this deleted file is gone", "create the directory");
            if (file.Kind == ObjectKind.File && !file.Volatile) CheckChange(file, user, $"{what} of {file.Path}");
        }
    }

    // Who uses each inode, first of all; for messages, and so that only what is used matters.
    private Dictionary<int, (ProcessRecord, string)> Users()
    {
        Dictionary<int, (ProcessRecord, string)> users = [];
        HashSet<int> held = [.. image.Tree.DescriptorTables.SelectMany(table => table.Entries.Select(entry => entry.Description))];
        foreach (State.Descriptors.RegularFile.RegularFileRecord file in image.Descriptions.Values.OfType<State.Descriptors.RegularFile.RegularFileRecord>())
            if (!held.Contains(file.Id) && image.Objects.ContainsKey(file.Object)) users.TryAdd(file.Object, (image.Root, "an open file that waits to be received"));
        foreach (ProcessRecord process in image.Living)
        {
            foreach (DescriptorEntry entry in image.Tree.TablesOf(process).SelectMany(table => table.Entries))
                if (image.Descriptions[entry.Description] is State.Descriptors.RegularFile.RegularFileRecord file && image.Objects.ContainsKey(file.Object))
                    users.TryAdd(file.Object, (process, $"descriptor {entry.Number}"));
            users.TryAdd(process.Executable, (process, "the executable"));
            foreach (MappingRecord mapping in process.Mappings.Where(mapping => mapping.Kind == MappingKind.Object)) users.TryAdd(mapping.Object, (process, $"mapping {mapping.Start:x}"));
        }
        return users;
    }

    private void CheckChange(ObjectRecord file, ProcessRecord user, string what)
    {
        FileChange change = FileChange.Of(file);
        // What the user put there need not be the same; but code and data that are mapped must fit to what points into them.
        if (file.Bound && !change.Missing && !_mapped.Contains(file.Id)) return;
        if (!change.Any || request.ChangedFiles == ChangedFilesPolicy.Keep && !change.Missing) return;
        bool stored = file.Stored.Length > 0 && image.Reader.Has($"content/{file.Stored}");
        if (file.OpenForWriting && request.ChangedFiles == ChangedFilesPolicy.Rewind)
        {
            if (stored || !change.Missing && change.Grown) return; // its content, or cut back to its length
            Add(user, what, $"{change.Words}, and its content was not saved with the checkpoint", "put the file back as it was, or take checkpoints with --save-files");
            return;
        }
        Add(user, what, change.Words, change.Missing && !stored ? "put the file back"
            : file.OpenForWriting ? "put the file back as it was, or restart with --changed-files=rewind (back to the checkpoint) or --changed-files=keep (go on with it as it is)"
            : "put the file back as it was, or restart with --changed-files=keep");
    }

    private void Places()
    {
        foreach (ProcessRecord process in image.Living)
            foreach ((PlaceRecord place, string what) in Stands(process))
                if (!place.Deleted && Files.Status(place.Path) is var found && (found.Result.Failed || found.Status.Type != FileType.Directory)) Add(process, what, $"{place.Path} is gone", "create the directory");
    }

    private static IEnumerable<(PlaceRecord, string)> Stands(ProcessRecord process)
    {
        yield return (process.Root!, "root directory");
        yield return (process.WorkingDirectory!, "working directory");
        foreach (ThreadRecord thread in process.Threads)
        {
            if (thread.OwnPlaces is not { } own) continue;
            yield return (own.Root, $"root directory of thread {thread.Tid}");
            yield return (own.WorkingDirectory, $"working directory of thread {thread.Tid}");
        }
    }

    private void Confinement()
    {
        if (image.Living.FirstOrDefault(process => process.Threads.Any(thread => thread.Seccomp.Mode != SeccompRecord.Disabled)) is { } confined && SeccompRights.Missing() is { } missing)
            Add(confined, "", $"it is confined by seccomp, and {missing.Why}", missing.Advice);
        foreach (ProcessRecord process in image.Living.Where(TraceRestore.IsTraced))
            foreach (ThreadRecord thread in process.Threads.Where(thread => thread.Seccomp.Mode != SeccompRecord.Disabled))
                if (image.Living.SelectMany(p => p.Threads).First(tracer => tracer.Tid == thread.Trace!.Tracer) is var tracer && !TraceExamination.MaySetAside(tracer.Credentials.Effective, tracer.Seccomp.Mode)
                    && (thread.Seccomp.Mode != SeccompRecord.Filter || new FilterJudge([.. thread.Seccomp.Filters.Select(place => image.Tree.SeccompFilters[place])]).Forbidden() is not null))
                    Add(process, $"thread {thread.Tid}", "it is traced and confined by seccomp, which its tracer may not set aside, and which does not let through what a restart needs", "the image is damaged; take another checkpoint");
    }

    private void Limits()
    {
        const int CAP_SYS_RESOURCE = 24, RLIMIT_NOFILE = 7;
        ProcStatus self = ProcStatus.Read("/proc/self")!;
        ulong capabilities = self.Hex("CapEff");
        bool mayRaise = (capabilities >> CAP_SYS_RESOURCE & 1) != 0;
        foreach (ProcessRecord process in image.Living)
        {
            foreach (LimitRecord limit in process.Limits)
            {
                (_, ulong hard) = ResourceLimits.Own(limit.Resource);
                if (limit.Hard > hard && !mayRaise)
                    Add(process, $"resource limit {limit.Resource}", $"its hard limit {limit.Hard} is above this stasis's own ({hard})", "run stasis with CAP_SYS_RESOURCE, or from a shell with that limit");
            }
            foreach (ulong missing in process.Threads.Select(thread => thread.Credentials.Permitted & ~self.Hex("CapPrm")).Where(missing => missing != 0).Distinct())
                Add(process, "", $"it has capabilities that this stasis does not have ({missing:x})", "run stasis as root");
            if ((ulong)image.Tree.TablesOf(process).SelectMany(table => table.Entries).Select(entry => entry.Number).DefaultIfEmpty().Max() >= ResourceLimits.Own(RLIMIT_NOFILE).Hard)
                Add(process, "", "its descriptor numbers are above this stasis's limit of open files", "raise the limit (ulimit -Hn)");
        }
    }

    // kernel/audit.c, audit_set_loginuid_perm
    private void AuditLogins()
    {
        const int CAP_AUDIT_CONTROL = 30;
        AuditRecord own = AuditRecord.Of("/proc/self");
        if (own.Login == AuditRecord.Unset || (ProcStatus.Read("/proc/self")!.Hex("CapEff") >> CAP_AUDIT_CONTROL & 1) != 0) return;
        foreach (ProcessRecord process in image.Living)
            if (process.Threads.Select(thread => thread.Audit.Login).FirstOrDefault(login => login != own.Login, own.Login) is var other && other != own.Login)
                Add(process, "", $"its audit login id is {(other == AuditRecord.Unset ? "unset" : $"{other}")}, and this stasis, whose own is {own.Login}, may set no other (CAP_AUDIT_CONTROL)", "run stasis as root, or from a login session of that user");
    }

    // Yama (Documentation/admin-guide/LSM/Yama.rst) may forbid that a tracer attaches again to what it traced.
    private void Tracing()
    {
        const int CAP_SYS_PTRACE = 19;
        if (!int.TryParse(Files.ReadText("/proc/sys/kernel/yama/ptrace_scope").Text.Trim(), out int scope) || scope == 0) return;
        foreach (ProcessRecord process in image.Living.Where(TraceRestore.IsTraced))
        {
            ThreadRecord tracer = image.Living.SelectMany(p => p.Threads).First(thread => thread.Tid == process.Threads[0].Trace!.Tracer);
            bool mayAll = (tracer.Credentials.Effective >> CAP_SYS_PTRACE & 1) != 0;
            if (scope == 3 || !mayAll && (scope == 2 || !Descends(process, tracer.Tid)))
                Add(process, "", $"kernel.yama.ptrace_scope is {scope} here, and its tracer may not attach to it again", "set kernel.yama.ptrace_scope to 0");
        }
    }

    private bool Descends(ProcessRecord process, int tracer)
    {
        for (int steps = 0; steps < image.Tree.Processes.Length && process.Parent != 0; steps++)
        {
            process = image.Tree.Processes.First(p => p.Pid == process.Parent);
            if (process.Threads.Any(thread => thread.Tid == tracer)) return true;
        }
        return false;
    }

    private (int, string, int) HolderOf(int description)
    {
        foreach (ProcessRecord process in image.Living)
        {
            if (image.Tree.TablesOf(process).SelectMany(table => table.Entries).FirstOrDefault(e => e.Description == description) is { } entry) return (process.Pid, process.Comm, entry.Number);
        }
        return (image.Root.Pid, image.Root.Comm, -1);
    }
}
