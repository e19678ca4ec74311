using Stasis.Linux;

namespace Stasis.State.Descriptors.MessageQueue;

/// <summary>
/// What the kernel holds of a message queue (ipc/mqueue.c, struct mqueue_inode_info). To receive and send again would be seen: by who
/// has the queue open, by the times, by who is to be notified. So nothing is taken: the kernel's own lists are read, of a queue that
/// only the frozen tree has.
/// </summary>
internal sealed class QueueSight
{
    private const int PageSize = 4096, MaxDepth = 128;
    private readonly KernelObject _queue;

    private QueueSight(KernelObject queue) => _queue = queue;

    /// <summary>null when the descriptor is gone.</summary>
    public static QueueSight? Of(int pid, int number) =>
        KernelSight.FilesOf(pid).TryGetValue(number, out KernelObject file) ? new QueueSight(KernelObject.Around("mqueue_inode_info", "vfs_inode", file["f_inode"])) : null;

    /// <summary>null when what is there does not fit together: it is being changed.</summary>
    public QueueRecord? Content(FileStatus status, string name, bool unlinked)
    {
        ulong waiting = _queue["attr.mq_curmsgs"];
        List<QueueMessage> messages = [];
        if (waiting > MessageQueues.HardMessages || !AddNode(_queue["msg_tree.rb_node"], (int)waiting, messages, 0) || (ulong)messages.Count != waiting) return null;
        if (messages.Sum(message => (long)message.Text.Length) != (long)_queue["qsize"]) return null;
        return new QueueRecord
        {
            Name = name,
            Unlinked = unlinked,
            Permissions = status.Permissions,
            Uid = status.Uid,
            Gid = status.Gid,
            CreatorUid = _queue.Pointed("ucounts", "ucounts") is { } counts ? (uint)counts["uid"] : status.Uid,
            MaxMessages = (long)_queue["attr.mq_maxmsg"],
            MessageSize = (long)_queue["attr.mq_msgsize"],
            Messages = [.. messages],
        };
    }

    // A tree of lists, one for each priority; in each the oldest message is first (msg_insert).
    private bool AddNode(ulong address, int most, List<QueueMessage> messages, int depth)
    {
        if (address == 0) return true;
        if (depth > MaxDepth) return false;
        KernelObject node = KernelObject.Around("posix_msg_tree_node", "rb_node", address);
        if (!AddNode(node["rb_node.rb_right"], most, messages, depth + 1)) return false;
        ulong head = node.At("msg_list");
        for (ulong at = node["msg_list.next"]; at != head;)
        {
            KernelObject message = KernelObject.Around("msg_msg", "m_list", at);
            if (messages.Count >= most || Text(message) is not { } text || message["m_type"] > MessageQueues.MaxPriority) return false;
            messages.Add(new QueueMessage((uint)message["m_type"], text));
            at = message["m_list.next"];
        }
        return AddNode(node["rb_node.rb_left"], most, messages, depth + 1);
    }

    // The first bytes lie behind the message's own struct, the rest in pages with a struct in front of each (ipc/msgutil.c, alloc_msg).
    private static byte[]? Text(KernelObject message)
    {
        ulong length = message["m_ts"];
        if (length > MessageQueues.HardSize) return null;
        byte[] text = new byte[length];
        int header = KernelSight.SizeOf("msg_msg"), done = Math.Min(text.Length, PageSize - header);
        if (!KernelSight.Read(message.Address + (ulong)header, text.AsSpan(0, done))) return null;
        ulong segment = message["next"];
        int segmentHeader = KernelSight.SizeOf("msg_msgseg");
        while (done < text.Length)
        {
            if (segment == 0) return null;
            int piece = Math.Min(text.Length - done, PageSize - segmentHeader);
            if (!KernelSight.Read(segment + (ulong)segmentHeader, text.AsSpan(done, piece))) return null;
            done += piece;
            segment = new KernelObject("msg_msgseg", segment)["next"];
        }
        return text;
    }

    /// <summary>Who is to be told of a message; null when nobody is. The process by its id in its own pid namespace; for SIGEV_THREAD the address
    /// of the socket (struct sock).</summary>
    public (QueueNotification Notification, ulong Socket)? Notification()
    {
        const int SIGEV_THREAD = 2, CookieLength = 32;
        if (_queue.Pointed("notify_owner", "pid") is not { } owner) return null;
        ulong numbers = owner.At("numbers") + owner["level"] * (ulong)KernelSight.SizeOf("upid");
        var notification = new QueueNotification
        {
            Process = (int)new KernelObject("upid", numbers)["nr"],
            How = (int)_queue["notify.sigev_notify"],
        };
        if (notification.How != SIGEV_THREAD) return (notification with { Signal = notification.How == 0 ? (int)_queue["notify.sigev_signo"] : 0, Value = notification.How == 0 ? _queue["notify.sigev_value"] : 0 }, 0);
        byte[] cookie = new byte[CookieLength];
        if (_queue.Pointed("notify_cookie", "sk_buff") is not { } waiting || !KernelSight.Read(waiting["data"], cookie)) throw new KernelRefusal("read of what mq_notify was given", Errno.EFAULT);
        return (notification with { Cookie = cookie }, _queue["notify_sock"]);
    }
}
