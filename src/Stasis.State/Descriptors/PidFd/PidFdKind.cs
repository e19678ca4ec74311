using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors.PidFd;

/// <summary>
/// Handles of processes. One of a process of the tree is opened again when the tree is there; one of a process that is gone, or
/// was outside and is gone by now, is a handle of a process that we run to its end: it polls and answers the same.
/// </summary>
public sealed class PidFdKind : DescriptorKind
{
    /// <summary>PIDFD_THREAD of pidfd_open shows as this flag (include/uapi/linux/pidfd.h).</summary>
    private const int PIDFD_THREAD = OpenFlags.O_EXCL, MaxId = 1 << 22;

    public override string Name => "pidfd";
    public override Type RecordType => typeof(PidFdRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link == "anon_inode:[pidfd]" || sighting.Link.StartsWith("pidfd:", StringComparison.Ordinal);

    // -1 when it is gone, 0 when it lives where our /proc does not reach.
    private static int PidOf(ProcFdInfo information) => int.TryParse(information.Field("Pid"), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int pid) ? pid : 0;

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (PidOf(sighting.Information) == 0)
            context.Refuse(sighting, "it is a handle of a process in another pid namespace, which this stasis can't see", "run stasis in the namespace of that process, or let the program close it first");
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        int pid = PidOf(sighting.Information);
        var record = new PidFdRecord
        {
            Id = id,
            Flags = sighting.Flags & ~PIDFD_THREAD,
            Thread = (sighting.Flags & PIDFD_THREAD) != 0,
            Target = PidFdTarget.Gone,
            Process = sighting.Status.Inode,
        };
        if (pid > 0 && ProcessOf(pid) is { } process && context.Examined.Tree.Contains(process))
            return record with { Target = PidFdTarget.Inside, Task = context.InsideId(pid) };
        if (pid > 0 && ProcessIdentity.Of(pid) is { } identity)
            return record with { Target = PidFdTarget.Outside, Task = pid, StartTime = identity.StartTime, BootId = identity.BootId };
        return record with { WaitStatus = WaitStatusOf(sighting) };
    }

    // /proc tells the process of a thread too.
    private static int? ProcessOf(int tid) => ProcStatus.Read($"/proc/{tid}") is { } status ? (int)status.Number("Tgid") : null;

    private static int WaitStatusOf(Sighting sighting)
    {
        // struct pidfd_info, 64 bytes: mask 8, cgroupid 8, pid … fsgid 11 × 4, exit_code 4 (include/uapi/linux/pidfd.h)
        const ulong PIDFD_GET_INFO = 0xC040FF0B, PIDFD_INFO_EXIT = 1 << 3;
        using DescriptorHandle own = sighting.Take();
        byte[] information = new byte[64];
        BitConverter.TryWriteBytes(information, PIDFD_INFO_EXIT);
        bool told = !Files.IoControl(own.Number, PIDFD_GET_INFO, information).Failed && (BitConverter.ToUInt64(information) & PIDFD_INFO_EXIT) != 0;
        return told ? BitConverter.ToInt32(information, 60) & 0xffff : 0;
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (PidFdRecord)description;
        string? damage = !Enum.IsDefined(record.Target) ? "it does not say whose handle it is"
            : record.Target != PidFdTarget.Gone && record.Task is <= 0 or > MaxId ? "its process has an impossible id"
            : record.Target == PidFdTarget.Inside && !context.HasTask(record.Task, record.Thread) ? $"its {(record.Thread ? "thread" : "process")} {record.Task} is not in the image"
            : record.WaitStatus is < 0 or > 0xffff || (record.WaitStatus & 0x7f) > 64 ? "its wait status is impossible"
            : null;
        if (damage is not null) context.Refuse(description, "pidfd", damage, "the image is damaged; take another checkpoint");
    }

    // Also of one that is gone: it is to be of the tree's pid namespace.
    public override bool NeedsTree(Description description) => ((PidFdRecord)description).Target != PidFdTarget.Outside;

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (PidFdRecord)description;
        if (record.Target == PidFdTarget.Inside) return Open(context.TaskOf(record.Task), record.Thread).OrThrowDescriptor($"pidfd_open of {record.Task}");
        if (record.Target == PidFdTarget.Outside && IsTheSame(record)) return Open(record.Task, record.Thread).OrThrowDescriptor($"pidfd_open of {record.Task}");
        // Handles of one process are handles of one process again: programs compare their inodes.
        string key = $"ended process {record.Process} {record.WaitStatus}";
        if (!context.Shared.TryGetValue(key, out object? made)) context.Shared[key] = made = OpenEnded(record, context);
        return ((Dictionary<int, int>)made)[record.Id];
    }

    private static Dictionary<int, int> OpenEnded(PidFdRecord first, RebuildContext context)
    {
        Dictionary<int, int> handles = [];
        context.EndedProcess(0, first.WaitStatus, pid =>
        {
            foreach (PidFdRecord record in context.Descriptions.Values.OfType<PidFdRecord>())
                if (record.Process == first.Process && record.WaitStatus == first.WaitStatus && record.Target != PidFdTarget.Inside && (record.Target == PidFdTarget.Gone || !IsTheSame(record)))
                    handles[record.Id] = Open(pid, record.Thread).OrThrowDescriptor("pidfd_open of a process that is to end");
        });
        return handles;
    }

    private static SysResult Open(int id, bool thread) => Kernel.Call(Syscall.pidfd_open, id, thread ? PIDFD_THREAD : 0);

    private static bool IsTheSame(PidFdRecord record) => ProcessIdentity.Of(record.Task) == new ProcessIdentity(record.StartTime, record.BootId);
}
