namespace Stasis.State.Descriptors.MessageQueue;

/// <summary>An open POSIX message queue (man 7 mq_overview).</summary>
public sealed record PosixQueueRecord : Description
{
    /// <summary>Tells queues of one image apart (the inode number at the checkpoint).</summary>
    public required ulong Queue { get; init; }

    /// <summary>A process of the image that has it, in whose ipc namespace it lives.</summary>
    public required int Process { get; init; }

    /// <summary>The queue itself, with the first description of it; else null.</summary>
    public QueueRecord? Content { get; init; }

    /// <summary>Who is told when a message comes; with one description that this process has; else null.</summary>
    public QueueNotification? Notification { get; init; }

    /// <summary>Where a read(2) of the queue's status goes on.</summary>
    public long Position { get; init; }
}

/// <summary>A message queue with all that waits in it.</summary>
public sealed record QueueRecord
{
    /// <summary>Without the slash in front.</summary>
    public required string Name { get; init; }

    /// <summary>Its name is gone (mq_unlink).</summary>
    public bool Unlinked { get; init; }
    public required int Permissions { get; init; }
    public required uint Uid { get; init; }
    public required uint Gid { get; init; }

    /// <summary>The user to whose limit (RLIMIT_MSGQUEUE) it counts.</summary>
    public required uint CreatorUid { get; init; }
    public required long MaxMessages { get; init; }
    public required long MessageSize { get; init; }

    /// <summary>Of each priority in the order in which they were sent.</summary>
    public required QueueMessage[] Messages { get; init; }
}

/// <summary>A waiting message: its priority, 0 or more, and its bytes.</summary>
public sealed record QueueMessage(uint Priority, byte[] Text);

/// <summary>What mq_notify(3) was asked for.</summary>
public sealed record QueueNotification
{
    /// <summary>The process of the image that asked.</summary>
    public required int Process { get; init; }

    /// <summary>SIGEV_SIGNAL 0, SIGEV_NONE 1, SIGEV_THREAD 2.</summary>
    public required int How { get; init; }
    public int Signal { get; init; }
    public ulong Value { get; init; }

    /// <summary>For SIGEV_THREAD: the description of the netlink socket through which the C library hears of it, and what it will get there (32 bytes).</summary>
    public int Socket { get; init; }
    public byte[] Cookie { get; init; } = [];
}
