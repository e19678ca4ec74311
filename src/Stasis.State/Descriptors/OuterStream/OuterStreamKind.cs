using Stasis.Linux;

namespace Stasis.State.Descriptors.OuterStream;

/// <summary>A terminal or a standard stream whose other end is outside the tree: bound to what the restart itself has.</summary>
public sealed record OuterStreamRecord : Description
{
    /// <summary>What it was: "/dev/pts/3", "pipe:[42]".</summary>
    public required string Was { get; init; }
    public required bool Terminal { get; init; }

    /// <summary>struct termios2 of a terminal (ioctl TCGETS2), put back at restart.</summary>
    public byte[] Settings { get; init; } = [];

    /// <summary>0, 1 or 2 when it was a standard stream somewhere; else -1.</summary>
    public required int Stream { get; init; }

    /// <summary>The terminal that the restart was told to take for it (`--bind pty:`); no part of an image.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public string? BindTo { get; init; }
}

/// <summary>Terminals that are not ours to carry. Outer pipes come here too, by way of their own kind.</summary>
public sealed class OuterStreamKind : DescriptorKind
{
    public override string Name => "outer stream";
    public override Type RecordType => typeof(OuterStreamRecord);

    // major 136..143: /dev/pts, 4: /dev/ttyN and ttySN, 5: /dev/tty and console
    public override bool Recognizes(Sighting sighting) => sighting.Status.Type == FileType.CharacterDevice && sighting.Link.StartsWith("/dev/", StringComparison.Ordinal)
        && (sighting.Status.RawMajor is >= 136 and <= 143 || sighting.Status.RawMajor == 4 || sighting.Status is { RawMajor: 5, RawMinor: 0 or 1 });

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context) =>
        Record(id, sighting, true, context.Examined) with { Settings = SettingsOf(sighting) };

    private static byte[] SettingsOf(Sighting sighting)
    {
        if ((sighting.Flags & OpenFlags.O_PATH) != 0) return [];
        using DescriptorHandle ours = sighting.Take();
        byte[] settings = new byte[Terminals.Termios2Size];
        return Files.IoControl(ours.Number, Terminals.TCGETS2, settings).Failed ? [] : settings;
    }

    public static OuterStreamRecord Record(int id, Sighting sighting, bool terminal, ExamineContext context) => new()
    {
        Id = id,
        Flags = sighting.Flags,
        Was = sighting.Link,
        Terminal = terminal,
        Stream = context.All.Where(s => s.Number <= 2 && s.Link == sighting.Link).Select(s => s.Number).DefaultIfEmpty(-1).Min() is var stream && sighting.Number <= 2 ? sighting.Number : stream,
    };

    public override void Plan(Description description, PlanContext context)
    {
        var record = (OuterStreamRecord)description;
        if (record.Stream is < -1 or > 2 || record.Settings.Length is not (0 or Terminals.Termios2Size)) context.Refuse(record, record.Was, "the image is broken here", "take a new checkpoint");
        else if (record.BindTo is { } named)
        {
            if (!IsTerminal(named)) context.Refuse(record, record.Was, $"it is bound to {named}, which is no terminal", "name a terminal that is there");
        }
        else if (record.Stream < 0 && OuterTerminal.OwnPath() is null)
            context.Refuse(record, record.Was, "it was a terminal, and this restart has none", "restart from a terminal, or name one with --bind");
    }

    private static bool IsTerminal(string path)
    {
        SysResult opened = Files.Open(path, OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC | OpenFlags.O_NOCTTY | OpenFlags.O_NONBLOCK);
        if (opened.Failed) return false;
        using var file = new DescriptorHandle(opened.Descriptor);
        return Terminals.Is(file.Number);
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (OuterStreamRecord)description;
        if (record.BindTo is { } named) return OpenNamed(named, record);
        if (record.Terminal && context.Terminal is { } terminal)
        {
            int opened = terminal.Open(record.Flags);
            if (record.Settings.Length == Terminals.Termios2Size && context.Shared.TryAdd("terminal settings", true))
            {
                context.Undo.Add(terminal.SetBack);
                terminal.Set(record.Settings);
            }
            return opened;
        }
        // F_DUPFD = 0: above the standard streams, which must stay ours
        SysResult copy = Files.Control(record.Stream, 0, 3);
        return copy.Failed ? Files.Open("/dev/null", OpenFlags.O_RDWR).OrThrowDescriptor("open of /dev/null") : copy.Descriptor;
    }

    private static int OpenNamed(string path, OuterStreamRecord record)
    {
        int opened = Files.Open(path, (record.Flags & ~OpenFlags.O_PATH) | OpenFlags.O_NOCTTY).OrThrowDescriptor($"open of {path}");
        using var blocked = new BlockedSignal(Signals.SIGTTOU);
        if (record.Settings.Length == Terminals.Termios2Size) Files.IoControl(opened, Terminals.TCSETS2, record.Settings).OrThrow($"ioctl(TCSETS2) of {path}");
        return opened;
    }
}
