using Stasis.Linux;

namespace Stasis.State.Descriptors.MessageQueue;

/// <summary>Makes a queue of an image in an ipc namespace, or takes one that is still there back to the checkpoint.</summary>
internal static class QueueMaker
{
    private const int Attempts = 100;

    /// <summary>Why the queue can't be had in our own ipc namespace; null when it can.</summary>
    public static (string Why, string Advice)? Problem(QueueRecord queue)
    {
        const string Elsewhere = "restart with --new-pid-namespace, which has message queues of its own";
        if (queue.Unlinked) return null;
        SysResult opened = MessageQueues.Open(queue.Name, OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return opened.Errno == Errno.ENOENT ? null : ($"a queue of its name can't be looked at ({opened.Errno})", "run stasis as root");
        using var there = new DescriptorHandle(opened.Descriptor);
        (_, QueueAttributes attributes) = MessageQueues.Attributes(there.Number);
        (_, FileStatus status) = Files.Status(there.Number);
        if ((attributes.MaxMessages, attributes.MessageSize) != (queue.MaxMessages, queue.MessageSize) || (status.Uid, status.Gid) != (queue.Uid, queue.Gid))
            return ("another queue has its name now", $"remove that one (rm /dev/mqueue/{queue.Name}) if it is not needed, or {Elsewhere}");
        List<((uint, uint, ulong), int Pid, string Command)> users = QueueUsers.Outside([($"/{queue.Name}", status.Identity)], pid => pid == Environment.ProcessId);
        return users.Count == 0 ? null : ($"it exists, and process {users[0].Pid} ({users[0].Command}) has it open", $"end that process, or {Elsewhere}");
    }

    /// <summary>A descriptor of ours for the queue, filled.</summary>
    /// <param name="pid">A process in whose ipc namespace it is to be.</param>
    public static int Make(QueueRecord queue, int pid, List<Action> undo)
    {
        int descriptor = -1;
        bool ours = IpcNamespace.IsOurs(pid); // in the tree's own it goes with that
        IpcNamespace.OnThreadOf(pid, () =>
        {
            // It counts to the real user's limit; what we are allowed to goes by the effective one.
            Kernel.Call(Syscall.setresuid, (nint)queue.CreatorUid, -1, -1).OrThrow($"setresuid to {queue.CreatorUid}");
            descriptor = queue.Unlinked ? MakeNameless(queue) : Named(queue, ours ? undo : []);
        });
        Kernel.Call(Syscall.fchown, descriptor, (nint)queue.Uid, (nint)queue.Gid).OrThrow($"fchown of message queue /{queue.Name}");
        Kernel.Call(Syscall.fchmod, descriptor, queue.Permissions).OrThrow($"fchmod of message queue /{queue.Name}");
        foreach (QueueMessage message in queue.Messages) MessageQueues.Send(descriptor, message.Text, message.Priority).OrThrow($"mq_send to message queue /{queue.Name}");
        return descriptor;
    }

    private static int Named(QueueRecord queue, List<Action> undo)
    {
        SysResult there = MessageQueues.Open(queue.Name, OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC);
        if (!there.Failed)
        {
            // The plan has made sure that it is the one, and that nobody uses it.
            MessageQueues.Empty(there.Descriptor).OrThrow($"emptying of message queue /{queue.Name}");
            return there.Descriptor;
        }
        int made = Create(queue, queue.Name).OrThrowDescriptor($"mq_open of /{queue.Name}");
        (_, FileStatus status) = Files.Status(made);
        undo.Add(() => RemoveOurs(queue.Name, status.Identity));
        return made;
    }

    private static void RemoveOurs(string name, (uint, uint, ulong) identity)
    {
        SysResult opened = MessageQueues.Open(name, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return;
        using var there = new DescriptorHandle(opened.Descriptor);
        if (Files.Status(there.Number).Status.Identity == identity) MessageQueues.Unlink(name);
    }

    // Under its old name where that is free, so that /proc shows the same.
    private static int MakeNameless(QueueRecord queue)
    {
        for (int attempt = 0; ; attempt++)
        {
            string name = attempt == 0 ? queue.Name : $"stasis-{Environment.ProcessId}-{attempt}";
            SysResult made = Create(queue, name);
            if (made.Errno == Errno.EEXIST && attempt < Attempts) continue;
            int descriptor = made.OrThrowDescriptor($"mq_open of /{name}");
            MessageQueues.Unlink(name).OrThrow($"mq_unlink of /{name}");
            return descriptor;
        }
    }

    private static SysResult Create(QueueRecord queue, string name) => MessageQueues.Create(name, queue.MaxMessages, queue.MessageSize);

    /// <summary>What is wrong with a queue's record, which nobody trusts; null when nothing is.</summary>
    public static string? Damage(QueueRecord queue) =>
        queue.Name.Length is 0 or > 255 || queue.Name.Contains('/') || queue.Name.Contains('\0') || queue.Name is "." or ".." ? "its name is impossible"
        : queue.MaxMessages is < 1 or > MessageQueues.HardMessages || queue.MessageSize is < 1 or > MessageQueues.HardSize ? "its sizes are impossible"
        : queue.Permissions is < 0 or > 0x1FF ? "its permissions are impossible"
        : queue.Messages.Length > queue.MaxMessages || queue.Messages.Any(message => message.Text.Length > queue.MessageSize || message.Priority > MessageQueues.MaxPriority) ? "its messages are impossible"
        : null;
}
