using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Processes;

namespace Stasis.State.SystemV;

/// <summary>The objects of System V IPC in the ipc namespace of a tree, by id, as they show from outside.</summary>
public sealed class IpcSurvey
{
    public static readonly IpcSurvey Empty = new();
    public IReadOnlyDictionary<int, SysvIpcLine> Segments { get; private set; } = new Dictionary<int, SysvIpcLine>();
    public IReadOnlyDictionary<int, SysvIpcLine> SemaphoreSets { get; private set; } = new Dictionary<int, SysvIpcLine>();
    public IReadOnlyDictionary<int, SysvIpcLine> MessageQueues { get; private set; } = new Dictionary<int, SysvIpcLine>();

    /// <summary>The namespace is the tree's own (`stasis run`): whatever is in it belongs to the tree.</summary>
    public bool Own { get; private init; }

    /// <summary>Errors: <see cref="KernelRefusal"/> when its namespace can't be entered.</summary>
    public static IpcSurvey Take(TreeSurvey tree)
    {
        var survey = new IpcSurvey { Own = !IpcNamespace.IsOurs(tree.Root.Face) && RunNamespace.IsInit(tree.Root.Stat.ParentPid) };
        IpcNamespace.Within(tree.Root.Face, survey.Read);
        return survey;
    }

    /// <summary>Those of our own namespace.</summary>
    public static IpcSurvey Here()
    {
        var survey = new IpcSurvey();
        survey.Read();
        return survey;
    }

    private void Read()
    {
        Segments = ById("shm", "shmid");
        SemaphoreSets = ById("sem", "semid");
        MessageQueues = ById("msg", "msqid");
    }

    private static Dictionary<int, SysvIpcLine> ById(string table, string id)
    {
        Dictionary<int, SysvIpcLine> objects = [];
        foreach (SysvIpcLine line in ProcSysvIpc.Read(table)) objects[(int)line[id]] = line;
        return objects;
    }

    public static IpcIdentity Identity(int id, SysvIpcLine line, Belonging belonging) => new()
    {
        Id = id,
        Key = line.Key,
        Permissions = line.Mode & 0x1FF,
        Uid = line.Uid,
        Gid = line.Gid,
        CreatorUid = line.CreatorUid,
        CreatorGid = line.CreatorGid,
        Perhaps = belonging == Belonging.Perhaps,
    };
}
