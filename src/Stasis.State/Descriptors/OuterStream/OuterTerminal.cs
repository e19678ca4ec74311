using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Descriptors.Terminal;

namespace Stasis.State.Descriptors.OuterStream;

/// <summary>
/// The terminal that a restart binds its tree to: our own, or, where a session of the tree needs one to control and ours has a session
/// already (a shell's), a new pseudo-terminal between the two.
/// </summary>
public sealed class OuterTerminal : IDisposable
{
    private const int RedrawPauseMicroseconds = 100_000;
    private readonly DescriptorHandle _terminal;
    private readonly string? _path;

    /// <summary>The settings that it had before the restart.</summary>
    private readonly byte[] _settings = new byte[Terminals.Termios2Size];

    /// <summary>A descriptor of ours, close-on-exec: of the terminal in between its master, so that we do not keep it open ourselves.</summary>
    public int Number => _terminal.Number;

    private OuterTerminal(DescriptorHandle terminal, string? path)
    {
        (_terminal, _path) = (terminal, path);
        Files.IoControl(Number, Terminals.TCGETS2, _settings).OrThrow("ioctl(TCGETS2) of the terminal");
    }

    /// <summary>Where our own terminal is: the first of our standard streams that is one, else the controlling terminal; null for none.</summary>
    public static string? OwnPath()
    {
        for (int stream = 0; stream <= 2; stream++) if (Terminals.Is(stream)) return $"/proc/self/fd/{stream}";
        SysResult controlling = Files.Open("/dev/tty", OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC | OpenFlags.O_NOCTTY);
        if (controlling.Failed) return null;
        Files.Close(controlling.Descriptor);
        return "/dev/tty";
    }

    /// <summary>Our own; null when there is none.</summary>
    public static OuterTerminal? Own()
    {
        if (OwnPath() is not { } path) return null;
        SysResult opened = Files.Open(path, OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC | OpenFlags.O_NOCTTY);
        return opened.Failed ? null : new OuterTerminal(new DescriptorHandle(opened.Descriptor), path);
    }

    /// <summary>A new pseudo-terminal of the same size and settings as another terminal.</summary>
    public static OuterTerminal InFrontOf(OuterTerminal other)
    {
        var master = new DescriptorHandle(PtyMasterKind.OpenNew(OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC));
        Terminals.Set(master.Number, Terminals.TIOCSPTLCK, 0).OrThrow("ioctl(TIOCSPTLCK)");
        Files.IoControl(master.Number, Terminals.TCSETS2, other._settings).OrThrow("ioctl(TCSETS2)");
        Terminals.CopySize(other.Number, master.Number);
        return new OuterTerminal(master, null);
    }

    /// <summary>A new open file description of it.</summary>
    public int Open(int flags) => _path is null ? PtySlaveKind.OpenPeer(Number, flags)
        : Files.Open(_path, (flags & ~OpenFlags.O_PATH) | OpenFlags.O_NOCTTY).OrThrowDescriptor("open of the terminal");

    /// <summary>Whether we may change it: from a background group the kernel would stop us (SIGTTOU) instead.</summary>
    public bool InForeground => _path is null || ForegroundGroup is var group && group != 0 && group == ProcStat.Read(Environment.ProcessId)?.ProcessGroup;

    /// <summary>0 when it is not our controlling terminal.</summary>
    public int ForegroundGroup => Terminals.Get(Number, Terminals.TIOCGPGRP) is { Failed: false } group ? (int)group.Value : 0;

    /// <summary>struct termios2; null when the terminal is gone.</summary>
    public byte[]? Settings
    {
        get
        {
            byte[] settings = new byte[Terminals.Termios2Size];
            return Files.IoControl(Number, Terminals.TCGETS2, settings).Failed ? null : settings;
        }
    }

    /// <summary>Does nothing in the background.</summary>
    public void Set(byte[] settings)
    {
        if (InForeground) Files.IoControl(Number, Terminals.TCSETS2, settings).OrThrow("ioctl(TCSETS2) of the terminal");
    }

    /// <summary>What goes through it goes as it is, keys too: they mean something to the terminal in between.</summary>
    public void SetRaw() => Set(Terminals.Raw(_settings));

    /// <summary>Its settings are again what they were before the restart.</summary>
    public void SetBack()
    {
        // Its foreground group may be that of a tree that has just ended; we are not stopped for it while the signal is blocked.
        using var blocked = new BlockedSignal(Signals.SIGTTOU);
        _ = Files.IoControl(Number, Terminals.TCSETS2, _settings); // the terminal may be gone by now
    }

    /// <summary>Makes a group of our session its foreground group; whether it could.</summary>
    public bool GiveTo(int group)
    {
        using var blocked = new BlockedSignal(Signals.SIGTTOU);
        return !Terminals.Set(Number, Terminals.TIOCSPGRP, group).Failed;
    }

    /// <summary>
    /// Makes programs that draw on all of it draw again: their screen was another's. Many do so only where the size has changed, so it
    /// changes, and back when they have had time to see it.
    /// </summary>
    public void Redraw()
    {
        byte[] size = new byte[Terminals.WindowSize], other = new byte[Terminals.WindowSize];
        if (Files.IoControl(Number, Terminals.TIOCGWINSZ, size).Failed) return;
        int rows = BitConverter.ToUInt16(size);
        size.CopyTo(other, 0);
        BitConverter.TryWriteBytes(other, (ushort)(rows > 1 ? rows - 1 : rows + 1));
        if (Files.IoControl(Number, Terminals.TIOCSWINSZ, other).Failed) return;
        Pause.Microseconds(RedrawPauseMicroseconds);
        byte[] now = new byte[Terminals.WindowSize];
        // Whoever made it larger or smaller meanwhile meant that.
        bool ours = !Files.IoControl(Number, Terminals.TIOCGWINSZ, now).Failed && now.AsSpan().SequenceEqual(other);
        if (ours) _ = Files.IoControl(Number, Terminals.TIOCSWINSZ, size); // a terminal that is gone has no size
    }

    public void Dispose() => _terminal.Dispose();
}
