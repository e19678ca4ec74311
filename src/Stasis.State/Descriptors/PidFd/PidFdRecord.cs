namespace Stasis.State.Descriptors.PidFd;

/// <summary>Whose handle a pidfd is.</summary>
public enum PidFdTarget
{
    /// <summary>A process or thread of the tree, also one that has ended and not been waited for.</summary>
    Inside,
    /// <summary>A process outside: the same one if it still lives at the restart, else one that has ended.</summary>
    Outside,
    /// <summary>One that had ended and been waited for.</summary>
    Gone,
}

/// <summary>A handle of a process or thread (man 2 pidfd_open).</summary>
public sealed record PidFdRecord : Description
{
    public required PidFdTarget Target { get; init; }

    /// <summary>PIDFD_THREAD: of a thread.</summary>
    public bool Thread { get; init; }

    /// <summary>Inside: its id in the tree's pid namespace. Outside: its id as the tool saw it.</summary>
    public int Task { get; init; }

    /// <summary>Outside: start time (in clock ticks since boot) and boot id, by which it is known again.</summary>
    public ulong StartTime { get; init; }
    public string BootId { get; init; } = "";

    /// <summary>Gone: its wait status, where the kernel still tells (PIDFD_GET_INFO, Linux 6.15).</summary>
    public int WaitStatus { get; init; }

    /// <summary>The inode of the process in the kernel's pidfs: handles of one process have the same.</summary>
    public ulong Process { get; init; }
}
