using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Descriptors;

namespace Stasis.State.Processes;

/// <summary>
/// A process as it shows from outside. Taken twice: before the freeze, to refuse what can't be carried with nothing touched, and
/// again with everything frozen, when it is the truth.
/// </summary>
public sealed class ProcessSurvey
{
    public required int Pid { get; init; }
    public required ProcStat Stat { get; init; }
    public required ProcStatus Status { get; init; }
    public required IReadOnlyList<int> Tids { get; init; }
    public required IReadOnlyList<ProcMapping> Mappings { get; set; }
    public required IReadOnlyList<Sighting> Descriptors { get; init; }

    /// <summary>Which of its threads have parted from it, and the descriptors of those with a table of their own, by the thread that stands for it. Sightings have that one as their pid.</summary>
    public ThreadPartings Partings { get; init; } = ThreadPartings.None;
    public IReadOnlyDictionary<int, IReadOnlyList<Sighting>> OwnDescriptors { get; init; } = new Dictionary<int, IReadOnlyList<Sighting>>();
    public IEnumerable<Sighting> AllDescriptors => Descriptors.Concat(OwnDescriptors.Values.SelectMany(own => own));

    public string Command => Stat.Comm;

    /// <summary>
    /// The task by whose id memory, descriptors and directories show (a thread's id has a name in /proc too): the main thread, and where
    /// that has ended before the others, the first of those. Sightings of descriptors have it as their pid.
    /// </summary>
    public required int Face { get; init; }

    /// <summary>What /proc tells of that task.</summary>
    public required ProcStat FaceStat { get; init; }
    public required ProcStatus FaceStatus { get; init; }
    public bool LeaderEnded => Face != Pid;

    /// <summary>Its program is one of 32 bits: i386, or x32, whose code is that of 64 bits.</summary>
    public bool ThirtyTwoBit { get; init; }
    public bool X32 { get; init; }
    /// <summary>Ended and not yet waited for. A leader that has ended before its threads shows as a zombie too, but is none.</summary>
    public bool Zombie => Stat.State is 'Z' or 'X' && Tids.Count == 0;

    /// <summary>The id in the innermost pid namespace it lives in; 0 levels deeper than the reader's means the same id.</summary>
    public int InsidePid => LastOf("NSpid", Pid);
    public int InsideSession => LastOf("NSsid", Stat.Session);
    public int InsideGroup => LastOf("NSpgid", Stat.ProcessGroup);
    public int NamespaceDepth => Status.Numbers("NSpid").Length;

    private int LastOf(string field, int fallback)
    {
        uint[] ids = Status.Numbers(field);
        return ids.Length == 0 ? fallback : (int)ids[^1];
    }

    /// <summary>null when the process is gone. Errors in reading (rights) become problems.</summary>
    public static ProcessSurvey? Take(int pid, ProblemList problems)
    {
        ProcStat? stat = ProcStat.Read(pid);
        ProcStatus? status = ProcStatus.Read($"/proc/{pid}");
        if (stat is null || status is null) return null;
        if (Requester.Is(pid)) return Ended(pid, Requester.Ended(stat), status);
        List<int> tids = TidsOf(pid);
        int face = stat.State is not ('Z' or 'X') ? pid : tids.FirstOrDefault(tid => tid != pid && ProcStat.ReadTask(pid, tid) is { State: not ('Z' or 'X') });
        if (face == 0) return Ended(pid, stat, status);
        ProcStat? faceStat = face == pid ? stat : ProcStat.ReadTask(pid, face);
        ProcStatus? faceStatus = face == pid ? status : ProcStatus.Read($"/proc/{pid}/task/{face}");
        if (faceStat is null || faceStatus is null) return null;
        (SysResult mapsResult, List<ProcMapping> mappings) = ProcMaps.Read(face);
        if (mapsResult.Failed && mapsResult.Errno is not (Errno.ESRCH or Errno.ENOENT))
            problems.Add(pid, stat.Comm, "", $"its memory can't be looked at ({mapsResult.Errno})", "run stasis as root, or with CAP_CHECKPOINT_RESTORE and CAP_SYS_PTRACE");
        (int bits, int machine) = Program(face);
        ThreadPartings partings = PartingsOf(pid, face, tids, stat.Comm, problems);
        return new ProcessSurvey
        {
            Pid = pid,
            Stat = stat,
            Status = status,
            Tids = tids,
            Partings = partings,
            ThirtyTwoBit = bits == 1,
            X32 = bits == 1 && machine != EM_386,
            OwnDescriptors = partings.Tables.ToDictionary(tid => tid, tid => (IReadOnlyList<Sighting>)DescriptorsOf(tid, stat.Comm, problems)),
            Mappings = mappings,
            Descriptors = DescriptorsOf(face, stat.Comm, problems),
            Face = face,
            FaceStat = faceStat,
            FaceStatus = faceStatus,
        };
    }

    private static ProcessSurvey Ended(int pid, ProcStat stat, ProcStatus status) =>
        new() { Pid = pid, Stat = stat, Status = status, Tids = [], Mappings = [], Descriptors = [], Face = pid, FaceStat = stat, FaceStatus = status };

    private const int EM_386 = 3;

    // The class in the ELF header (1: 32 bits, 2: 64), and the machine (man 5 elf). 0 when it can't be read.
    private static (int Class, int Machine) Program(int pid)
    {
        SysResult opened = Files.Open($"/proc/{pid}/exe", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return (0, 0);
        using var file = new DescriptorHandle(opened.Descriptor);
        byte[] header = new byte[20];
        return Files.ReadAt(file.Number, header, 0).Failed || header[0] != 0x7f ? (0, 0) : (header[4], BitConverter.ToUInt16(header, 18));
    }

    private static ThreadPartings PartingsOf(int pid, int face, List<int> tids, string command, ProblemList problems)
    {
        try { return ThreadPartings.Of(face, tids); }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EPERM)
        {
            problems.Add(pid, command, "", "this stasis may not compare the kernel objects of its threads (kcmp)", "run stasis as root, or with CAP_SYS_PTRACE");
            return ThreadPartings.None;
        }
    }

    public static List<int> TidsOf(int pid)
    {
        List<int> tids = [.. Files.List($"/proc/{pid}/task").Names.Select(name => int.Parse(name, CultureInfo.InvariantCulture)).Order()];
        if (tids.Count > 1) tids.RemoveAll(tid => tid != pid && IsWorker(pid, tid));
        return tids;
    }

    private static readonly HashSet<(int, int)> s_ordinary = [];

    // A thread of the kernel's that works for an io_uring (PF_IO_WORKER): it shows among the program's threads, can't be stopped, and comes
    // and goes with the work. What an ordinary thread is it stays.
    private static bool IsWorker(int pid, int tid)
    {
        const uint PF_IO_WORKER = 0x10;
        lock (s_ordinary)
        {
            if (s_ordinary.Contains((pid, tid))) return false;
            bool worker = Files.ReadText($"/proc/{pid}/task/{tid}/comm").Text.StartsWith("iou-", StringComparison.Ordinal) && ProcStat.ReadTask(pid, tid) is { } stat && (stat.Flags & PF_IO_WORKER) != 0;
            if (!worker) s_ordinary.Add((pid, tid));
            return worker;
        }
    }

    public static List<int> ChildrenOf(int pid, IEnumerable<int> tids)
    {
        List<int> children = [];
        foreach (int tid in tids)
            foreach (string child in Files.ReadText($"/proc/{pid}/task/{tid}/children").Text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                if (int.TryParse(child, CultureInfo.InvariantCulture, out int number)) children.Add(number);
        return children;
    }

    public static List<Sighting> DescriptorsOf(int pid, string command, ProblemList problems)
    {
        List<Sighting> sightings = [];
        (SysResult listed, List<string> names) = Files.List($"/proc/{pid}/fd");
        if (listed.Failed && listed.Errno is not (Errno.ENOENT or Errno.ESRCH))
            problems.Add(pid, command, "", $"its descriptors can't be looked at ({listed.Errno})", "run stasis as root, or with CAP_CHECKPOINT_RESTORE and CAP_SYS_PTRACE");
        foreach (int number in names.Select(name => int.Parse(name, CultureInfo.InvariantCulture)).Order())
        {
            string path = $"/proc/{pid}/fd/{number}";
            (SysResult linkResult, string link) = Files.ReadLink(path);
            (SysResult statusResult, FileStatus status) = Files.Status(path);
            (SysResult infoResult, ProcFdInfo? information) = ProcFdInfo.Read(pid, number);
            if (linkResult.Failed || infoResult.Failed) continue; // closed meanwhile; the frozen survey sees all
            if (statusResult.Errno is Errno.ENOENT or Errno.ESRCH)
            {
                // A file of /proc whose process has ended is open all the same, and has no attributes any more. Else it was closed meanwhile.
                if (Files.ReadLink(path) is { Result.Failed: false } again && again.Target == link && link.StartsWith("/proc/", StringComparison.Ordinal))
                    sightings.Add(new Sighting(pid, command, number, link, default, information!));
                continue;
            }
            if (statusResult.Failed)
            {
                problems.Add(pid, command, $"descriptor {number} ({link})", $"it can't be looked at ({statusResult.Errno})", "let the program close it first");
                continue;
            }
            sightings.Add(new Sighting(pid, command, number, link, status, information!));
        }
        return sightings;
    }
}

/// <summary>
/// A process and all its descendants, parents before children. In a namespace of `stasis run` also what its init has adopted: those
/// whose parent inside has ended.
/// </summary>
public sealed class TreeSurvey
{
    private const int MaxProcesses = 1_000_000;

    private TreeSurvey(List<ProcessSurvey> processes) => Processes = processes;
    public IReadOnlyList<ProcessSurvey> Processes { get; }
    public ProcessSurvey Root => Processes[0];

    /// <summary>The processes outside that were met, by <see cref="TraceExamination.Outside"/>, and that nobody of the tree traces.</summary>
    public HashSet<int> Others { get; } = [];

    /// <summary>The root, then the other children of its init, if it lives in a namespace of ours.</summary>
    public static List<int> Tops(int root)
    {
        ProcStat? stat = ProcStat.Read(root);
        if (stat is null || !RunNamespace.IsInit(stat.ParentPid)) return [root];
        return [root, .. ProcessSurvey.ChildrenOf(stat.ParentPid, ProcessSurvey.TidsOf(stat.ParentPid)).Where(child => child != root)];
    }

    /// <summary>null when the root is gone.</summary>
    public static TreeSurvey? Take(int root, ProblemList problems)
    {
        List<ProcessSurvey> processes = [];
        List<int> tops = Tops(root);
        Queue<int> open = new(tops);
        HashSet<int> seen = [.. tops];
        while (open.TryDequeue(out int pid) && processes.Count < MaxProcesses)
        {
            if (ProcessSurvey.Take(pid, problems) is not { } process) continue;
            processes.Add(process);
            if (Requester.Is(pid)) continue; // what it has started is its own affair
            foreach (int child in ProcessSurvey.ChildrenOf(pid, process.Tids)) if (seen.Add(child)) open.Enqueue(child);
        }
        return processes.Count == 0 || processes[0].Pid != root ? null : new TreeSurvey(processes);
    }
}
