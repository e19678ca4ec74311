using Stasis.Linux;

namespace Stasis.State.Descriptors.Terminal;

/// <summary>
/// Pseudo-terminal masters. The master carries the state of the whole terminal and makes its slaves too, because their order counts:
/// the terminal is unlocked, its slaves are opened, then it is made exclusive or locked as it was.
/// </summary>
public sealed class PtyMasterKind : DescriptorKind
{
    /// <summary>The processes that read what others write to terminals of the tree.</summary>
    public static IReadOnlySet<int> Readers(ExamineContext context) => context.All.Where(PtyTree.IsMaster).Select(sighting => sighting.Pid).ToHashSet();

    private const int N_TTY = 0, MaxIndex = 4096;

    public override string Name => "pseudo-terminal master";
    public override Type RecordType => typeof(PtyMasterRecord);
    public override bool Recognizes(Sighting sighting) => PtyTree.IsMaster(sighting);

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return;
        using var own = new DescriptorHandle(taken.Descriptor);
        if (PtyTree.OfMaster(sighting) is not { } pty) return;
        if (Terminals.Get(own.Number, Terminals.TIOCGETD) is { Failed: false } discipline && discipline.Value != N_TTY)
            context.Refuse(sighting, $"/dev/pts/{pty.Index} has line discipline {discipline.Value} instead of a terminal's", "let the program set it back to N_TTY");
        if (context.Frozen) Output(sighting, own.Number, pty, context);
        if (PtyTree.OutsideHolder(pty, context.Tree) is { } holder)
            context.Refuse(sighting, $"its terminal /dev/pts/{pty.Index} is open in {holder}, outside of what is checkpointed", "checkpoint a process that has both among its descendants, or end that one first");
        if (Terminals.Get(own.Number, Terminals.TIOCGSID) is { Failed: false } session && session.Value > 0 && !context.Tree.Contains((int)session.Value))
            context.Refuse(sighting, $"its terminal /dev/pts/{pty.Index} controls a session outside of what is checkpointed (session {session.Value})", "checkpoint the leader of that session too");
    }

    // What can be taken and put back without loss is carried; see PtyContent.
    private static void Output(Sighting sighting, int master, Pty pty, ExamineContext context)
    {
        if ((Poll.Events(master) & Poll.POLLPRI) != 0)
            context.Refuse(sighting, $"news of /dev/pts/{pty.Index} (packet mode) waits to be read here, and can't be looked at without taking it", "try again in a moment");
        int waiting = PtyContent.Waiting(master);
        if (waiting > PtyContent.MostOutput)
            context.Refuse(sighting, $"more than {PtyContent.MostOutput} bytes that were written to /dev/pts/{pty.Index} wait to be read here, and can't be looked at without taking them", "try again in a moment, or stop that output");
        else if (waiting > 0 && PtyContent.IsStopped(PtyTree.Of(context).SlaveOf(sighting, context)))
            context.Refuse(sighting, $"{waiting} bytes that were written to /dev/pts/{pty.Index} wait to be read here, and its output is stopped: they could be taken, but not put back", "let it go on (Ctrl-Q) first");
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        using DescriptorHandle own = sighting.Take();
        int index = Terminals.Get(own.Number, Terminals.TIOCGPTN).OrThrowDescriptor("ioctl(TIOCGPTN)");
        byte[] termios = new byte[Terminals.Termios2Size], size = new byte[Terminals.WindowSize], locked = new byte[Terminals.KernelTermiosSize];
        Files.IoControl(own.Number, Terminals.TCGETS2, termios).OrThrow("ioctl(TCGETS2)");
        Files.IoControl(own.Number, Terminals.TIOCGWINSZ, size).OrThrow("ioctl(TIOCGWINSZ)");
        Files.IoControl(own.Number, Terminals.TIOCGLCKTRMIOS, locked).OrThrow("ioctl(TIOCGLCKTRMIOS)");
        int Inside(ulong request) => Terminals.Get(own.Number, request) is { Failed: false, Value: > 0 } outside ? context.InsideId((int)outside.Value) : 0;
        int session = Inside(Terminals.TIOCGSID);
        bool slaveClosed = (Poll.Events(own.Number) & Poll.POLLHUP) != 0, packet = Terminals.Get(own.Number, Terminals.TIOCGPKT).OrThrow("ioctl(TIOCGPKT)") != 0;
        Sighting? slave = PtyTree.Of(context.Examined).SlaveOf(sighting, context.Examined);
        bool settingsLocked = !locked.AsSpan().TrimEnd((byte)0).IsEmpty;
        (byte[] input, byte[] output) = slave is not null || slaveClosed ? PtyContent.Take(sighting, own.Number, slave, termios, packet, settingsLocked, context) : ([], []);
        return new PtyMasterRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Index = index,
            Termios = termios,
            WindowSize = size,
            LockedTermios = settingsLocked ? locked : [],
            PacketMode = packet,
            Locked = Terminals.Get(own.Number, Terminals.TIOCGPTLCK).OrThrow("ioctl(TIOCGPTLCK)") != 0,
            Exclusive = Terminals.Get(own.Number, Terminals.TIOCGEXCL).OrThrow("ioctl(TIOCGEXCL)") != 0,
            SlaveClosed = slaveClosed,
            Stopped = PtyContent.IsStopped(slave),
            Input = input,
            Output = output,
            Session = session,
            ForegroundGroup = session == 0 ? 0 : Inside(Terminals.TIOCGPGRP),
        };
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (PtyMasterRecord)description;
        bool broken = record.Index < 0 || record.Termios.Length != Terminals.Termios2Size || record.WindowSize.Length != Terminals.WindowSize
            || record.LockedTermios.Length is not (0 or Terminals.KernelTermiosSize) || record.Session < 0 || record.ForegroundGroup < 0
            || record.Output.Length > PtyContent.MostOutput || record.Input.Length > (PtyContent.IsCanonical(record.Termios) ? PtyContent.MostHalfLine : PtyContent.MostKeys);
        if (broken) context.Refuse(record, "a pseudo-terminal", "the image is broken here", "take a new checkpoint");
        else if (Files.Status("/dev/ptmx").Result.Failed) context.Refuse(record, "a pseudo-terminal", "there is no /dev/ptmx here", "mount devpts at /dev/pts and link /dev/ptmx to pts/ptmx");
    }

    public override int ControlledSession(Description description) => ((PtyMasterRecord)description).Session;
    public override int ForegroundGroup(Description description) => ((PtyMasterRecord)description).ForegroundGroup;

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (PtyMasterRecord)description;
        int master = Open(record.Index, OpenFlags.O_RDWR | record.Flags & OpenFlags.O_NONBLOCK);
        Terminals.Set(master, Terminals.TIOCSPTLCK, 0).OrThrow("ioctl(TIOCSPTLCK)");
        List<(int Descriptor, PtySlaveRecord Record)> slaves = [];
        foreach (PtySlaveRecord slave in context.Descriptions.Values.OfType<PtySlaveRecord>().Where(slave => slave.Master == record.Id))
        {
            int opened = PtySlaveKind.OpenPeer(master, slave.Flags);
            slaves.Add((opened, slave));
            context.Shared[PtySlaveKind.Key(slave.Id)] = opened;
        }
        if (slaves.Count > 0 || record.SlaveClosed)
        {
            using var slave = new DescriptorHandle(PtySlaveKind.OpenPeer(master, OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC));
            PtyContent.Fill(master, slave.Number, record);
        }
        Files.IoControl(master, Terminals.TCSETS2, record.Termios).OrThrow("ioctl(TCSETS2)");
        Files.IoControl(master, Terminals.TIOCSWINSZ, record.WindowSize).OrThrow("ioctl(TIOCSWINSZ)");
        if (record.LockedTermios.Length > 0) Files.IoControl(master, Terminals.TIOCSLCKTRMIOS, record.LockedTermios).OrThrow("ioctl(TIOCSLCKTRMIOS)");
        if (record.Stopped) PtyContent.Stop(master, record.Termios);
        if (record.PacketMode) Terminals.Set(master, Terminals.TIOCPKT, 1).OrThrow("ioctl(TIOCPKT)");
        foreach ((int descriptor, PtySlaveRecord slave) in slaves) if (slave.Exclusive) Files.IoControl(descriptor, Terminals.TIOCEXCL).OrThrow("ioctl(TIOCEXCL)");
        if (record.Exclusive) Files.IoControl(master, Terminals.TIOCEXCL).OrThrow("ioctl(TIOCEXCL)");
        if (record.Locked) Terminals.Set(master, Terminals.TIOCSPTLCK, 1).OrThrow("ioctl(TIOCSPTLCK)");
        return master;
    }

    // The kernel gives out the lowest free number. So as long as lower ones come, the wanted one may still be free; once a higher one
    // has come it is taken, and the terminal gets the first that came.
    private static int Open(int wanted, int flags)
    {
        List<int> opened = [];
        while (true)
        {
            int master = OpenNew(flags);
            opened.Add(master);
            int index = Terminals.Get(master, Terminals.TIOCGPTN).OrThrowDescriptor("ioctl(TIOCGPTN)");
            if (index < wanted && wanted < MaxIndex) continue;
            int kept = index == wanted ? master : opened[0];
            foreach (int other in opened) if (other != kept) Files.Close(other).OrThrow("close of a pseudo-terminal");
            return kept;
        }
    }

    internal static int OpenNew(int flags) => Files.Open("/dev/ptmx", flags | OpenFlags.O_NOCTTY).OrThrowDescriptor("open of /dev/ptmx");
}
