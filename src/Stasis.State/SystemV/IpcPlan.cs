using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.SystemV;

/// <summary>
/// Whether an image's objects of System V IPC can be had in our own ipc namespace: under their ids and keys. They outlive their users, so
/// one may be there still: it is taken back to the checkpoint, unless somebody uses it.
/// </summary>
public sealed class IpcPlan(IpcRecord ipc, ProblemList problems, IReadOnlySet<int> imagePids)
{
    private const string Elsewhere = "restart with --new-pid-namespace, which has System V ids of its own";
    private readonly IpcSurvey _here = IpcSurvey.Here();

    /// <param name="newNamespace">The tree gets a new ipc namespace: all ids are free.</param>
    public static void Check(IpcRecord ipc, ProblemList problems, bool newNamespace, IReadOnlySet<int> imagePids)
    {
        var plan = new IpcPlan(ipc, problems, imagePids);
        plan.Kernel("shm", ipc.Segments.Length);
        plan.Kernel("sem", ipc.SemaphoreSets.Length);
        plan.Kernel("msg", ipc.MessageQueues.Length);
        if (!newNamespace) plan.Objects();
    }

    private void Kernel(string table, int count)
    {
        if (count > 0 && Files.Status($"/proc/sys/kernel/{table}_next_id").Result.Failed)
            problems.Add(0, "", "", $"this kernel does not let System V ids be chosen (/proc/sys/kernel/{table}_next_id)", "use a kernel with CONFIG_CHECKPOINT_RESTORE");
    }

    private void Objects()
    {
        foreach (SegmentRecord segment in ipc.Segments)
            if (Existing($"System V shared memory segment {segment.Identity.Id}", segment.Identity, _here.Segments, line => line["size"] == segment.Size && (line.Mode & SysvIpc.SHM_DEST) == 0, "ipcrm -m") is { } line && line["nattch"] != 0 && !segment.Identity.Perhaps)
                Add($"System V shared memory segment {segment.Identity.Id}", $"it exists and is attached {(line["nattch"] == 1 ? "once" : $"{line["nattch"]} times")}{Users(segment.Identity.Id)}", "end its users, or " + Elsewhere);
        foreach (SemaphoreSetRecord set in ipc.SemaphoreSets)
            if (Existing($"System V semaphores {set.Identity.Id}", set.Identity, _here.SemaphoreSets, line => line["nsems"] == set.Values.Length, "ipcrm -s") is not null)
                for (int number = 0; number < set.Values.Length; number++)
                    InUse($"System V semaphores {set.Identity.Id}", set.Identity, SysvIpc.LastProcess(set.Identity.Id, number) is { Failed: false } pid ? (int)pid.Value : 0);
        foreach (MessageQueueRecord queue in ipc.MessageQueues)
            if (Existing($"System V message queue {queue.Identity.Id}", queue.Identity, _here.MessageQueues, _ => true, "ipcrm -q") is { } line)
                foreach (string field in (ReadOnlySpan<string>)["lspid", "lrpid"]) InUse($"System V message queue {queue.Identity.Id}", queue.Identity, (int)line[field]);
    }

    private void Add(string what, string why, string advice) => problems.Add(0, "", what, why, advice);

    /// <summary>The object itself, when it is there still; null when it is not, or something else is in its place, which is a problem then.</summary>
    private SysvIpcLine? Existing(string what, IpcIdentity wanted, IReadOnlyDictionary<int, SysvIpcLine> here, Func<SysvIpcLine, bool> alike, string remover)
    {
        foreach ((int id, SysvIpcLine line) in here)
        {
            if (id == wanted.Id)
            {
                if (line.Key == wanted.Key && line.CreatorUid == wanted.CreatorUid && line.CreatorGid == wanted.CreatorGid && alike(line)) return line;
                Add(what, "another one has its id now", $"remove that one ({remover} {id}) if it is not needed, or {Elsewhere}");
                return null;
            }
            if (wanted.Key != 0 && line.Key == wanted.Key) Add(what, $"another one ({id}) has its key 0x{wanted.Key:x8} now", $"remove that one ({remover} {id}) if it is not needed, or {Elsewhere}");
            else if (Slot(id) == Slot(wanted.Id)) Add(what, $"another one ({id}) has its place in the kernel's table", $"remove that one ({remover} {id}) if it is not needed, or {Elsewhere}");
        }
        return null;
    }

    // An id is a place in a table and a sequence number above it (ipc/util.h; 24 bits of place with the boot option ipcmni_extend).
    private static int Slot(int id) => id & (s_extended ? 0xFFFFFF : 0x7FFF);
    private static readonly bool s_extended = Files.ReadText("/proc/cmdline").Text.Split(' ', '\n').Contains("ipcmni_extend");

    private void InUse(string what, IpcIdentity identity, int pid)
    {
        if (identity.Perhaps || pid <= 0 || imagePids.Contains(pid) || ProcStat.Read(pid) is not { } user) return;
        Add(what, $"it exists, and process {pid} ({user.Comm}) used it last", "end that process, or " + Elsewhere);
    }

    private static string Users(int segment)
    {
        string mark = string.Create(CultureInfo.InvariantCulture, $" {segment} ");
        List<int> users = [];
        foreach (string name in Files.List("/proc").Names)
            if (int.TryParse(name, out int pid) && Files.ReadText($"/proc/{pid}/maps").Text.Split('\n').Any(line => line.Contains(mark, StringComparison.Ordinal) && line.Contains(" /SYSV", StringComparison.Ordinal)))
                users.Add(pid);
        return users.Count == 0 ? "" : $" (by process {string.Join(", ", users)})";
    }
}
