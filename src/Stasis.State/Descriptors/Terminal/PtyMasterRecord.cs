namespace Stasis.State.Descriptors.Terminal;

/// <summary>The master of a pseudo-terminal (man 7 pty), with the state of the terminal as a whole.</summary>
public sealed record PtyMasterRecord : Description
{
    /// <summary>N of /dev/pts/N at the checkpoint. The rebuild takes the same where it is free.</summary>
    public required int Index { get; init; }

    /// <summary>struct termios2 and struct winsize.</summary>
    public required byte[] Termios { get; init; }
    public required byte[] WindowSize { get; init; }

    /// <summary>Settings that may not be changed (TIOCGLCKTRMIOS), struct termios; empty when all may.</summary>
    public byte[] LockedTermios { get; init; } = [];
    public bool PacketMode { get; init; }

    /// <summary>Whether the slave can't be opened yet (man 3 unlockpt).</summary>
    public bool Locked { get; init; }
    public bool Exclusive { get; init; }

    /// <summary>Whether the slave had been open and all its descriptors are closed: the master reads EIO then.</summary>
    public bool SlaveClosed { get; init; }

    /// <summary>The session whose controlling terminal it is and its foreground group, as ids inside the tree's pid namespace; 0 when none.</summary>
    public int Session { get; init; }
    public int ForegroundGroup { get; init; }

    /// <summary>Whether its output is stopped (Ctrl-S).</summary>
    public bool Stopped { get; init; }

    /// <summary>What was typed and not read: keys, or in canonical mode the line that is being typed.</summary>
    public byte[] Input { get; init; } = [];

    /// <summary>What was written to the slave and not read from the master.</summary>
    public byte[] Output { get; init; } = [];
}

/// <summary>An opening of the slave of a pseudo-terminal.</summary>
public sealed record PtySlaveRecord : Description
{
    /// <summary>N of /dev/pts/N at the checkpoint.</summary>
    public required int Index { get; init; }

    /// <summary>The master's description; 0 when the master was closed, and this is a terminal that has hung up.</summary>
    public required int Master { get; init; }
    public bool Exclusive { get; init; }
}
