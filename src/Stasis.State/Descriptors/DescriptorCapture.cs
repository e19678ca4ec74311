using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors;

/// <summary>A POSIX record lock (fcntl F_SETLK), which belongs to a descriptor table, not to a description.</summary>
public sealed record PosixLock(int Number, bool Write, long Start, long End);

/// <summary>
/// Finds out which descriptor tables and open file descriptions a frozen tree has, and which are the same (kcmp, man 2 kcmp).
/// kcmp's order lets us sort; only descriptors of the same inode are compared at all.
/// </summary>
public sealed class DescriptorCapture
{
    private readonly Dictionary<(int Pid, int Number), int> _descriptionOf = [];
    private readonly List<Sighting> _firstOf = [];

    public required IReadOnlyList<DescriptorTable> Tables { get; init; }

    /// <summary>The table of each process, by pid as the tool sees it, and of each thread that stands for one of its own.</summary>
    public required IReadOnlyDictionary<int, int> TableOf { get; init; }
    public int DescriptionOf(int pid, int number) => _descriptionOf[(pid, number)];

    /// <summary>For each description (id 1 up) the first descriptor that has it.</summary>
    public IReadOnlyList<Sighting> First => _firstOf;

    public static DescriptorCapture Take(TreeSurvey tree, ExamineContext examined)
    {
        List<ProcessSurvey> living = [.. tree.Processes.Where(process => !process.Zombie)];
        List<Holder> holders = [.. living.Select(process => new Holder(process.Pid, process.Face, process.Descriptors))];
        // What a thread has of its own it shares with no other process (ProcessExamination).
        holders.AddRange(living.SelectMany(process => process.OwnDescriptors.Select(own => new Holder(own.Key, own.Key, own.Value))));
        Dictionary<int, int> tableOf = GroupTables(holders);
        var tables = new List<DescriptorTable>();
        var capture = new DescriptorCapture { Tables = tables, TableOf = tableOf };
        Dictionary<int, Holder> owner = [];
        foreach (Holder holder in holders) owner.TryAdd(tableOf[holder.Id], holder);
        capture.Identify(owner.Values.SelectMany(holder => holder.Descriptors).Concat(examined.All.Where(sighting => sighting.Carrier is not null)));
        foreach ((int table, Holder holder) in owner.OrderBy(pair => pair.Key))
        {
            tables.Add(new DescriptorTable(table, [.. holder.Descriptors.Select(s => new DescriptorEntry(s.Number, capture._descriptionOf[(s.Pid, s.Number)], s.CloseOnExec))])
            {
                Locks = [.. holder.Descriptors.SelectMany(s => FileLock.Of(s.Information).Where(l => l.Kind == "POSIX").Select(l => (s.Status.Identity, Lock: new PosixLock(s.Number, l.Write, l.Start, l.End))))
                    .DistinctBy(pair => (pair.Identity, pair.Lock.Start, pair.Lock.End)).Select(pair => pair.Lock)],
            });
        }
        foreach (Holder holder in holders)
            foreach (Sighting sighting in holder.Descriptors)
                capture._descriptionOf.TryAdd((holder.Face, sighting.Number), capture._descriptionOf[(owner[tableOf[holder.Id]].Face, sighting.Number)]);
        return capture;
    }

    // A process, or a thread with a table of its own; the task by whose id the table shows.
    private sealed record Holder(int Id, int Face, IReadOnlyList<Sighting> Descriptors);

    private static Dictionary<int, int> GroupTables(List<Holder> holders)
    {
        List<Holder> sorted = [.. holders];
        sorted.Sort((a, b) => a == b ? 0 : Kcmp.Compare(a.Face, b.Face, Kcmp.Kind.Files));
        Dictionary<int, int> tableOf = [];
        int table = 0;
        for (int i = 0; i < sorted.Count; i++)
        {
            if (i == 0 || Kcmp.Compare(sorted[i - 1].Face, sorted[i].Face, Kcmp.Kind.Files) != 0) table++;
            tableOf[sorted[i].Id] = table;
        }
        return tableOf;
    }

    private void Identify(IEnumerable<Sighting> sightings)
    {
        // What differs in any of these can't be the same description: only the rest is compared.
        foreach (IGrouping<(ulong, string, int), Sighting> group in sightings.GroupBy(s => (s.Status.Inode, s.Link, s.Flags)))
        {
            List<Sighting> members = [.. group];
            if (members.Count > 1)
                members.Sort((a, b) => a == b ? 0 : Kcmp.Compare(a.Pid, b.Pid, Kcmp.Kind.File, a.Number, b.Number));
            for (int i = 0; i < members.Count; i++)
            {
                bool same = i > 0 && Kcmp.Compare(members[i - 1].Pid, members[i].Pid, Kcmp.Kind.File, members[i - 1].Number, members[i].Number) == 0;
                if (!same) _firstOf.Add(members[i]);
                else if (members[i].Carrier is null && _firstOf[^1].Carrier is not null) _firstOf[^1] = members[i]; // one that a process holds says more
                _descriptionOf[(members[i].Pid, members[i].Number)] = _firstOf.Count;
            }
        }
    }

    /// <summary>The records of all descriptions. Nothing is consumed. Errors: <see cref="KernelRefusal"/>.</summary>
    public Description[] Describe(DescriptorCaptureContext context)
    {
        var descriptions = new Description[_firstOf.Count];
        for (int i = 0; i < _firstOf.Count; i++)
        {
            Sighting sighting = _firstOf[i];
            DescriptorKind kind = DescriptorKinds.Of(sighting, context.Examined) ?? throw new KernelRefusal($"{sighting.What}: not carried yet", Errno.EOPNOTSUPP, $"process {sighting.Pid}");
            descriptions[i] = WithOwner(kind.Capture(i + 1, sighting, context), sighting, context);
        }
        return descriptions;
    }

    private static Description WithOwner(Description description, Sighting sighting, DescriptorCaptureContext context)
    {
        const int F_GETSIG = 11, F_GETOWN_EX = 16, F_GETOWNER_UIDS = 17;
        if ((sighting.Flags & OpenFlags.O_PATH) != 0) return description;
        using DescriptorHandle ours = sighting.Take();
        byte[] owner = new byte[8]; // struct f_owner_ex: type, pid
        SysResult asked = Files.Control(ours.Number, F_GETOWN_EX, owner);
        int signal = Files.Control(ours.Number, F_GETSIG) is { Failed: false } got ? (int)got.Value : 0;
        (int type, int id) = asked.Failed ? (0, 0) : (BitConverter.ToInt32(owner), BitConverter.ToInt32(owner, 4));
        if (id == 0 && signal == 0) return description;
        // Owners are set by a process that holds the description.
        if (sighting.Carrier is not null) throw new CaptureRefused(sighting, "it has an owner for signals (F_SETOWN) and no process holds it", "checkpoint when it has been received");
        if (id != 0 && !IsInside(type, id, context))
            throw new CaptureRefused(sighting, $"its signals go to {(type == 2 ? "process group" : "process")} {id} outside the tree (F_SETOWN)", "checkpoint that process too, or let the program take the owner away");
        byte[] uids = new byte[8];
        if (id != 0) Files.Control(ours.Number, F_GETOWNER_UIDS, uids).OrThrow("fcntl(F_GETOWNER_UIDS)");
        return description with
        {
            OwnerType = type,
            Owner = id == 0 ? 0 : InsideOwner(type, id, context),
            OwnerSignal = signal,
            OwnerUid = BitConverter.ToUInt32(uids),
            OwnerEffectiveUid = BitConverter.ToUInt32(uids, 4),
        };
    }

    private const int F_OWNER_PGRP = 2;

    private static bool IsInside(int type, int id, DescriptorCaptureContext context) => type == F_OWNER_PGRP ? MemberOf(id, context) is not null
        : ProcStatus.Read($"/proc/{id}") is { } status && context.Examined.Tree.Contains(status.Number("Tgid"));

    private static int? MemberOf(int group, DescriptorCaptureContext context)
    {
        foreach (int pid in context.Examined.Tree) if (ProcStat.Read(pid)?.ProcessGroup == group) return pid;
        return null;
    }

    // A group's leader may have ended; any of its members tells its id inside.
    private static int InsideOwner(int type, int id, DescriptorCaptureContext context) =>
        type == F_OWNER_PGRP && ProcStatus.Read($"/proc/{MemberOf(id, context)}")?.Numbers("NSpgid") is { Length: > 0 } inside ? (int)inside[^1] : context.InsideId(id);
}
