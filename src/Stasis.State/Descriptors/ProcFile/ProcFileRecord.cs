namespace Stasis.State.Descriptors.ProcFile;

/// <summary>Whose file of /proc it is.</summary>
public enum ProcFileTarget
{
    /// <summary>A process of the tree, also one that has ended and not been waited for.</summary>
    Inside,
    /// <summary>A process outside: the same one if it still lives at the restart, else one that has ended.</summary>
    Outside,
    /// <summary>One that had ended and been waited for: reading says ESRCH.</summary>
    Gone,
}

/// <summary>A file or directory of /proc about one process (man 5 proc).</summary>
public sealed record ProcFileRecord : Description
{
    public required ProcFileTarget Target { get; init; }

    /// <summary>Inside: its id in the tree's pid namespace. Else as the tool saw it.</summary>
    public required int Process { get; init; }

    /// <summary>What is behind /proc/PID/; empty for the directory itself.</summary>
    public required string Name { get; init; }
    public required long Position { get; init; }

    /// <summary>Outside: start time (in clock ticks since boot) and boot id, by which it is known again.</summary>
    public ulong StartTime { get; init; }
    public string BootId { get; init; } = "";
}
