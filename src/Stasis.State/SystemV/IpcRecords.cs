using Stasis.Image;
using Stasis.State.Descriptors.MessageQueue;

namespace Stasis.State.SystemV;

/// <summary>What segments, semaphore sets and message queues have in common (struct ipc64_perm; man 7 sysvipc).</summary>
public sealed record IpcIdentity
{
    public required int Id { get; init; }

    /// <summary>0 for IPC_PRIVATE.</summary>
    public required int Key { get; init; }

    /// <summary>The nine bits of access.</summary>
    public required int Permissions { get; init; }
    public required uint Uid { get; init; }
    public required uint Gid { get; init; }
    public required uint CreatorUid { get; init; }
    public required uint CreatorGid { get; init; }

    /// <summary>It may be the tree's (<see cref="Belonging.Perhaps"/>): left alone where it exists.</summary>
    public bool Perhaps { get; init; }
}

/// <summary>A shared memory segment (man 2 shmget).</summary>
public sealed record SegmentRecord
{
    public required IpcIdentity Identity { get; init; }

    /// <summary>In bytes, as the program asked for them.</summary>
    public required long Size { get; init; }

    /// <summary>The process of the image that made it; 0 when it is none of them.</summary>
    public int Creator { get; init; }

    /// <summary>Marked for destruction: gone with the last process that has it attached (IPC_RMID).</summary>
    public bool Removed { get; init; }

    /// <summary>SHM_LOCK.</summary>
    public bool Locked { get; init; }

    /// <summary>The size of its pages, when they are huge ones (SHM_HUGETLB); else 0.</summary>
    public ulong HugePage { get; init; }

    /// <summary>MAP_NORESERVE's sister SHM_NORESERVE.</summary>
    public bool NoReserve { get; init; }
    public SavedPages? Pages { get; init; }
}

/// <summary>A set of semaphores (man 2 semget).</summary>
public sealed record SemaphoreSetRecord
{
    public required IpcIdentity Identity { get; init; }
    public required ushort[] Values { get; init; }

    /// <summary>For each, the process of the image that did the last operation on it (GETPID); 0 when it is none of them.</summary>
    public required int[] LastProcesses { get; init; }
}

/// <summary>What a process's end will add to a semaphore (SEM_UNDO).</summary>
public sealed record UndoRecord(int Set, int Number, int Adjustment);

/// <summary>A waiting message: its type, 1 or more, and its bytes.</summary>
public sealed record MessageRecord(long Type, byte[] Text);

/// <summary>A message queue (man 2 msgget).</summary>
public sealed record MessageQueueRecord
{
    public required IpcIdentity Identity { get; init; }

    /// <summary>How many bytes it may hold (msg_qbytes).</summary>
    public required ulong Capacity { get; init; }

    /// <summary>In the order in which they were sent.</summary>
    public required MessageRecord[] Messages { get; init; }
}

/// <summary>ipc.json: what the tree has of System V IPC.</summary>
public sealed record IpcRecord
{
    public SegmentRecord[] Segments { get; init; } = [];
    public SemaphoreSetRecord[] SemaphoreSets { get; init; } = [];
    public MessageQueueRecord[] MessageQueues { get; init; } = [];

    /// <summary>POSIX message queues that nobody has open, of a tree with an ipc namespace of its own.</summary>
    public QueueRecord[] IdleQueues { get; init; } = [];
}
