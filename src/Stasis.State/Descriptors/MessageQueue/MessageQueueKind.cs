using Stasis.Linux;
using Stasis.Remote;
using Stasis.State.Descriptors.NetlinkSocket;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors.MessageQueue;

/// <summary>POSIX message queues, by name and unlinked, with what waits in them and who is to be notified.</summary>
public sealed class MessageQueueKind : DescriptorKind
{
    private const int SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD = 2, CookieLength = 32;
    private const string CloseFirst = "let the program close it first (its messages stay in the queue)";

    public override string Name => "message queue";
    public override Type RecordType => typeof(PosixQueueRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Status is { Type: FileType.Regular, DeviceMajor: 0 } && Files.FileSystemType($"/proc/{sighting.Pid}/fd/{sighting.Number}") == MessageQueues.MQUEUE_MAGIC;

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (KernelSight.Unavailable() is { } why) context.Refuse(sighting, $"the messages of this queue can't be looked at: {why}", CloseFirst);
        if ((sighting.Flags & OpenFlags.O_PATH) != 0) context.Refuse(sighting, "a message queue opened by its path alone (O_PATH) is not carried yet", CloseFirst);
        if (FileLock.Of(sighting.Information).Any()) context.Refuse(sighting, "a lock on a message queue is not carried yet", "let the program release it first");
        foreach ((_, int pid, string command) in Outside(context).Where(user => user.Queue == sighting.Status.Identity))
            context.Refuse(sighting, $"process {pid} ({command}), which is not among its descendants, has this message queue open too", "checkpoint a common ancestor of both");
    }

    private static List<((uint, uint, ulong) Queue, int Pid, string Command)> Outside(ExamineContext context)
    {
        if (context.Cache.TryGetValue("message queues outside", out object? known)) return (List<((uint, uint, ulong), int, string)>)known;
        List<(string, (uint, uint, ulong))> queues = [.. context.All.Where(sighting => sighting.Status.DeviceMajor == 0 && DescriptorKinds.Alone(sighting, context) is MessageQueueKind).Select(sighting => (sighting.Link, sighting.Status.Identity)).Distinct()];
        List<((uint, uint, ulong), int, string)> users = QueueUsers.Outside(queues, pid => context.Tree.Contains(pid) || pid == Environment.ProcessId || ProcessExamination.DescendsFromTree(pid, context.Tree));
        context.Cache["message queues outside"] = users;
        return users;
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        ulong inode = sighting.Status.Inode;
        var record = new PosixQueueRecord { Id = id, Flags = sighting.Flags, Queue = inode, Process = context.InsideId(TgidOf(sighting.Bearer.Pid)), Position = sighting.Information.Position };
        QueueSight sight = QueueSight.Of(sighting.Pid, sighting.Number) ?? throw new InvariantBroken($"{sighting.What} of process {sighting.Pid} is gone, though its process is frozen");
        if (context.Examined.Cache.TryAdd($"message queue {sighting.Status.Identity}", true))
        {
            bool unlinked = sighting.Status.Links == 0;
            record = record with { Content = sight.Content(sighting.Status, NameOf(sighting.Link, unlinked), unlinked) ?? throw new CaptureRefused(sighting, "it changed while it was read: others use it too", "try again in a moment") };
        }
        return sight.Notification() is not { } notified ? record : record with { Notification = Notified(notified.Notification, notified.Socket, id, sighting, context) };
    }

    private static string NameOf(string link, bool unlinked)
    {
        const string Gone = " (deleted)";
        string path = unlinked && link.EndsWith(Gone, StringComparison.Ordinal) ? link[..^Gone.Length] : link;
        return path[(path.LastIndexOf('/') + 1)..];
    }

    // With the first description of the queue that the process has which asked: it asks again at the restart.
    private static QueueNotification? Notified(QueueNotification notification, ulong socket, int id, Sighting sighting, DescriptorCaptureContext context)
    {
        List<Sighting> its = [.. context.Examined.All.Where(other => other.Carrier is null && other.Status.Identity == sighting.Status.Identity && context.InsideId(TgidOf(other.Pid)) == notification.Process)];
        if (its.Count == 0) throw new CaptureRefused(sighting, $"process {notification.Process}, which is to be notified of messages (mq_notify), does not have the queue itself", "let the program take that notification back");
        if (its.Min(other => context.DescriptionOf(other.Pid, other.Number)) != id) return null;
        int owner = its[0].Pid;
        if (context.Examined.Tree.Any(pid => TgidOf(pid) != TgidOf(owner) && Kcmp.Compare(pid, owner, Kcmp.Kind.Files) == 0))
            throw new CaptureRefused(sighting, "a process that shares its descriptors with another one is to be notified of messages (mq_notify), which is not carried yet", "let the program take that notification back");
        return notification.How != SIGEV_THREAD ? notification : notification with { Socket = SocketAt(socket, owner, sighting, context) };
    }

    // A sighting's process is the task that shows its descriptors.
    private static int TgidOf(int face) => Linux.Proc.ProcStatus.Read($"/proc/{face}")?.Number("Tgid") is { } tgid ? (int)tgid : face;

    private static int SocketAt(ulong address, int owner, Sighting sighting, DescriptorCaptureContext context)
    {
        Dictionary<int, KernelObject> files = KernelSight.FilesOf(owner);
        foreach (Sighting open in context.Examined.All.Where(open => open.Pid == owner && open.Status.Type == FileType.Socket))
            if (files.TryGetValue(open.Number, out KernelObject file) && file.Pointed("private_data", "socket") is { } socket && socket["sk"] == address) return context.DescriptionOf(open.Pid, open.Number);
        throw new CaptureRefused(sighting, "the socket through which a thread is to be notified of messages (mq_notify) is not among its descriptors", "let the program take that notification back");
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (PosixQueueRecord)description;
        List<PosixQueueRecord> ofQueue = [.. context.Descriptions.Values.OfType<PosixQueueRecord>().Where(other => other.Queue == record.Queue)];
        string? damage = !context.IsProcess(record.Process) ? "no process has it"
            : ofQueue.Count(other => other.Content is not null) != 1 ? "it is there not once"
            : ofQueue.Count(other => other.Notification is not null) > 1 ? "it notifies more than one process"
            : record.Position < 0 ? "its position is negative"
            : record.Content is { } content ? QueueMaker.Damage(content) : null;
        if (record.Notification is { } notification)
            damage ??= !context.IsProcess(notification.Process) || notification.How is not (SIGEV_SIGNAL or SIGEV_NONE or SIGEV_THREAD) || notification.Signal is < 0 or > 64
                || notification.How == SIGEV_THREAD && (notification.Cookie.Length != CookieLength || context.Descriptions.GetValueOrDefault(notification.Socket) is not NetlinkSocketRecord) ? "its notification is impossible" : null;
        string name = $"message queue{(record.Content is { } named ? $" /{named.Name}" : "")}";
        if (damage is not null) context.Refuse(description, name, damage, "the image is damaged; take another checkpoint");
        else if (record.Content is { } queue && !context.NewIpcNamespace && QueueMaker.Problem(queue) is { } problem) context.Refuse(description, name, problem.Why, problem.Advice);
    }

    // It may have to be made in the tree's own ipc namespace.
    public override bool NeedsTree(Description description) => true;

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (PosixQueueRecord)description;
        string key = $"message queue {record.Queue}";
        if (!context.Shared.TryGetValue(key, out object? made))
        {
            QueueRecord queue = context.Descriptions.Values.OfType<PosixQueueRecord>().First(other => other.Queue == record.Queue && other.Content is not null).Content!;
            context.Shared[key] = made = QueueMaker.Make(queue, context.TaskOf(record.Process), context.Undo);
            context.CloseBeforeResume.Add((int)made);
        }
        int descriptor = Files.Open($"/proc/self/fd/{(int)made}", record.Flags & (OpenFlags.O_ACCMODE | OpenFlags.O_NONBLOCK)).OrThrowDescriptor("open of a message queue");
        if (record.Position > 0) Files.Seek(descriptor, record.Position, 0).OrThrow("lseek of a message queue");
        return descriptor;
    }

    public override bool NeedsFinish(Description description) => ((PosixQueueRecord)description).Notification is not null;

    public override bool MustFinish => true;

    public override bool Finish(Description description, FinishContext context)
    {
        QueueNotification notification = ((PosixQueueRecord)description).Notification!;
        if (context.Pid != notification.Process || notification.How == SIGEV_THREAD && !context.Table.Entries.Any(entry => entry.Description == notification.Socket)) return false;
        // struct sigevent: sigev_value 8, sigev_signo 4, sigev_notify 4. For a thread the value points at the cookie, the number is the socket's.
        int signal = notification.How == SIGEV_THREAD ? context.Table.Entries.First(entry => entry.Description == notification.Socket).Number : notification.Signal;
        TapeData sigevent = context.Tape.Data<ulong>(notification.Value, (uint)signal | (ulong)(uint)notification.How << 32, 0, 0, 0, 0, 0, 0);
        if (notification.How == SIGEV_THREAD) context.Tape.PointAt(sigevent, 0, context.Tape.Data(notification.Cookie));
        context.Tape.Call("mq_notify", Syscall.mq_notify, context.Number, sigevent);
        return true;
    }
}
