using Stasis.Linux;

namespace Stasis.State.Descriptors.Terminal;

/// <summary>
/// Terminals whose master is in the tree, or was closed. /dev/tty that stands for such a terminal is among them; it comes back as
/// /dev/pts/N, which does the same. All other terminals are left to the kind that binds them to the restart's own.
/// </summary>
public sealed class PtySlaveKind : DescriptorKind
{
    public override string Name => "pseudo-terminal";
    public override Type RecordType => typeof(PtySlaveRecord);
    public override bool Recognizes(Sighting sighting) => PtyTree.IsSlave(sighting) || PtyTree.IsOwnTerminal(sighting);
    public override bool Claims(Sighting sighting, ExamineContext context) => PtyTree.Of(context).MasterOf(sighting) is not null || HasHungUp(sighting);

    // Every call on a terminal that has hung up says EIO (drivers/tty/tty_io.c, hung_up_tty_fops).
    private static bool HasHungUp(Sighting sighting)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return false;
        using var own = new DescriptorHandle(taken.Descriptor);
        return Files.IoControl(own.Number, Terminals.TCGETS2, new byte[Terminals.Termios2Size]).Errno == Errno.EIO;
    }

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return;
        using var own = new DescriptorHandle(taken.Descriptor);
        byte[] termios = new byte[Terminals.Termios2Size];
        if (Files.IoControl(own.Number, Terminals.TCGETS2, termios).Failed) return;
        if (PtyContent.IsCanonical(termios))
        {
            if ((Poll.Events(own.Number) & Poll.POLLIN) == 0) return;
            // A program that is just being typed to reads at once, when those who type have been stopped.
            context.StopLast.Add(sighting.Bearer.Pid);
            context.Passed.Add(() => !LinesWait(sighting));
            context.RefuseForNow(sighting, "typed lines wait to be read, and can't be looked at without taking them", "try again when the program has read its input");
        }
        else if (PtyContent.Waiting(own.Number) is > PtyContent.MostKeys and var waiting)
            context.Refuse(sighting, $"{waiting} bytes of input wait to be read, and can't be looked at without taking them", "try again when the program has read its input");
    }

    private static bool LinesWait(Sighting sighting)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return false; // closed meanwhile
        using var own = new DescriptorHandle(taken.Descriptor);
        return (Poll.Events(own.Number) & Poll.POLLIN) != 0;
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        (Sighting Master, Pty Pty)? found = PtyTree.Of(context.Examined).MasterOf(sighting);
        using DescriptorHandle own = sighting.Take();
        return new PtySlaveRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Index = found?.Pty.Index ?? (int)sighting.Status.RawMinor,
            Master = found is { } pair ? context.DescriptionOf(pair.Master.Pid, pair.Master.Number) : 0,
            Exclusive = Terminals.Get(own.Number, Terminals.TIOCGEXCL) is { Failed: false, Value: not 0 },
        };
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (PtySlaveRecord)description;
        if (record.Index < 0 || record.Master != 0 && context.Descriptions.GetValueOrDefault(record.Master) is not PtyMasterRecord)
            context.Refuse(record, "a pseudo-terminal", "the image is broken here", "take a new checkpoint");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (PtySlaveRecord)description;
        if (record.Master == 0) return OpenHungUp(record);
        context.DescriptorOf(record.Master);
        if (!context.Shared.Remove(Key(record.Id), out object? made)) throw new InvariantBroken($"terminal {record.Index} was not made with its master");
        return (int)made;
    }

    internal static string Key(int id) => $"terminal {id}";

    internal static int OpenPeer(int master, int flags) =>
        Terminals.OpenPeer(master, flags & (OpenFlags.O_ACCMODE | OpenFlags.O_NONBLOCK) | OpenFlags.O_NOCTTY).OrThrowDescriptor("ioctl(TIOCGPTPEER)");

    private static int OpenHungUp(PtySlaveRecord record)
    {
        using var master = new DescriptorHandle(PtyMasterKind.OpenNew(OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC));
        Terminals.Set(master.Number, Terminals.TIOCSPTLCK, 0).OrThrow("ioctl(TIOCSPTLCK)");
        return OpenPeer(master.Number, record.Flags);
    }
}
