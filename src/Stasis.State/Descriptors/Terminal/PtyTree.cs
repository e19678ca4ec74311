using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Descriptors.Terminal;

/// <summary>A pseudo-terminal: the number of its devpts file system (there may be several) and N of /dev/pts/N.</summary>
internal readonly record struct Pty(uint DeviceMajor, uint DeviceMinor, int Index);

/// <summary>Which pseudo-terminals a tree has, by their masters.</summary>
internal sealed class PtyTree
{
    private const uint SlaveMajor = 136, AlternateMajor = 5;

    private readonly Dictionary<Pty, Sighting> _masters = [];

    public static PtyTree Of(ExamineContext context)
    {
        const string Key = "pseudo-terminals";
        if (!context.Cache.TryGetValue(Key, out object? known)) context.Cache[Key] = known = new PtyTree(context);
        return (PtyTree)known;
    }

    private PtyTree(ExamineContext context)
    {
        foreach (Sighting sighting in context.All) if (IsMaster(sighting) && OfMaster(sighting) is { } pty) _masters.TryAdd(pty, sighting);
    }

    /// <summary>/dev/ptmx and /dev/pts/ptmx (Documentation/filesystems/devpts.rst).</summary>
    public static bool IsMaster(Sighting sighting) => sighting.Status is { Type: FileType.CharacterDevice, RawMajor: AlternateMajor, RawMinor: 2 } && IsOpen(sighting);
    public static bool IsSlave(Sighting sighting) => sighting.Status is { Type: FileType.CharacterDevice, RawMajor: SlaveMajor } && IsOpen(sighting);

    /// <summary>/dev/tty, which is whatever terminal the process that opened it had.</summary>
    public static bool IsOwnTerminal(Sighting sighting) => sighting.Status is { Type: FileType.CharacterDevice, RawMajor: AlternateMajor, RawMinor: 0 } && IsOpen(sighting);
    private static bool IsOpen(Sighting sighting) => (sighting.Flags & OpenFlags.O_PATH) == 0;

    public static Pty? OfMaster(Sighting sighting)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return null;
        using var own = new DescriptorHandle(taken.Descriptor);
        SysResult index = Terminals.Get(own.Number, Terminals.TIOCGPTN);
        SysResult peer = Terminals.OpenPeer(own.Number, OpenFlags.O_PATH | OpenFlags.O_CLOEXEC);
        if (index.Failed || peer.Failed) return null;
        using var slave = new DescriptorHandle(peer.Descriptor);
        FileStatus status = Files.Status(slave.Number).Status;
        return new Pty(status.DeviceMajor, status.DeviceMinor, (int)index.Value);
    }

    /// <summary>The master of a slave (or of /dev/tty) when it is in the tree, and its pseudo-terminal.</summary>
    public (Sighting Master, Pty Pty)? MasterOf(Sighting slave)
    {
        if (IsSlave(slave))
        {
            var pty = new Pty(slave.Status.DeviceMajor, slave.Status.DeviceMinor, (int)slave.Status.RawMinor);
            return _masters.TryGetValue(pty, out Sighting? master) ? (master, pty) : null;
        }
        // /dev/tty says the device number of what it stands for, not its file system: that of the tree, if there is but one.
        SysResult taken = ForeignDescriptor.Take(slave.Pid, slave.Number);
        if (taken.Failed) return null;
        using var own = new DescriptorHandle(taken.Descriptor);
        if (Terminals.Get(own.Number, Terminals.TIOCGDEV) is not { Failed: false } device) return null;
        // new_encode_dev (include/linux/kdev_t.h): minor 7..0, major 19..8, minor 31..20
        uint major = (uint)device.Value >> 8 & 0xFFF, minor = (uint)device.Value & 0xFF | (uint)device.Value >> 12 & 0xFFF00;
        List<KeyValuePair<Pty, Sighting>> found = [.. _masters.Where(pair => major == SlaveMajor && pair.Key.Index == (int)minor)];
        return found.Count == 1 ? (found[0].Value, found[0].Key) : null;
    }

    /// <summary>A slave of this master that the tree has open; null when there is none.</summary>
    public Sighting? SlaveOf(Sighting master, ExamineContext context) =>
        OfMaster(master) is { } pty ? context.All.FirstOrDefault(sighting => (IsSlave(sighting) || IsOwnTerminal(sighting)) && MasterOf(sighting)?.Pty == pty) : null;

    /// <summary>A process outside of the tree that has the slave open, in words; null when there is none.</summary>
    public static string? OutsideHolder(Pty pty, IReadOnlySet<int> tree)
    {
        string link = $"/pts/{pty.Index}";
        foreach (string name in Files.List("/proc").Names)
        {
            if (!int.TryParse(name, CultureInfo.InvariantCulture, out int pid) || tree.Contains(pid) || pid == Environment.ProcessId) continue;
            foreach (string number in Files.List($"/proc/{pid}/fd").Names)
            {
                string path = $"/proc/{pid}/fd/{number}";
                if (!Files.ReadLink(path).Target.EndsWith(link, StringComparison.Ordinal)) continue;
                FileStatus status = Files.Status(path).Status;
                if (status is { RawMajor: SlaveMajor } && new Pty(status.DeviceMajor, status.DeviceMinor, (int)status.RawMinor) == pty) return $"{ProcStat.Read(pid)?.Comm ?? "a process"} (pid {pid})";
            }
        }
        return null;
    }
}
