using Stasis.Linux;
using Stasis.State.Descriptors.AnonymousPipe;

namespace Stasis.State.Descriptors.Fifo;

/// <summary>
/// Named pipes. What waits in one belongs to its readers: it is carried when one of them is in the tree. Others may have the FIFO
/// open too; then the kernel keeps the content while the tree is gone, and the rebuild must not put it in twice.
/// </summary>
public sealed class FifoKind : DescriptorKind
{
    private const int F_SETPIPE_SZ = 1031, F_GETPIPE_SZ = 1032, MaxCapacity = 1 << 30, MaxPacket = 65536;
    private const ulong FIONREAD = 0x541B;
    private const string Deleted = " (deleted)";

    public override string Name => "FIFO";
    public override Type RecordType => typeof(FifoRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Status.Type == FileType.Fifo && sighting.Link.StartsWith('/');

    private static bool Reads(Sighting sighting) => (sighting.Flags & OpenFlags.O_ACCMODE) != OpenFlags.O_WRONLY;

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (sighting.Link.Contains('\uFFFD')) context.Refuse(sighting, "its name is not UTF-8", "rename the FIFO");
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        using DescriptorHandle own = sighting.Take();
        bool deleted = sighting.Link.EndsWith(Deleted, StringComparison.Ordinal) && sighting.Status.Links == 0;
        string path = deleted ? sighting.Link[..^Deleted.Length] : sighting.Link;
        (SysResult found, FileStatus named) = Files.Status($"/proc/{sighting.Pid}/root{path}");
        var record = new FifoRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Path = path,
            Nameless = found.Failed || named.Identity != sighting.Status.Identity,
            DeviceMajor = sighting.Status.DeviceMajor,
            DeviceMinor = sighting.Status.DeviceMinor,
            Inode = sighting.Status.Inode,
            Permissions = sighting.Status.Permissions,
            Uid = sighting.Status.Uid,
            Gid = sighting.Status.Gid,
            Capacity = Files.Control(own.Number, F_GETPIPE_SZ).OrThrowDescriptor("fcntl(F_GETPIPE_SZ)"),
        };
        return Reads(sighting) && context.Examined.Cache.TryAdd($"FIFO content {sighting.Status.Identity}", true) ? WithContent(record, own.Number, context) : record;
    }

    private static FifoRecord WithContent(FifoRecord record, int readEnd, DescriptorCaptureContext context)
    {
        bool packets = context.Examined.All.Any(other => other.Status.Type == FileType.Fifo && other.Status.Inode == record.Inode && (other.Flags & OpenFlags.O_DIRECT) != 0);
        (byte[] content, int[] lengths) = PipeContent.Copy(readEnd, record.Capacity);
        return content.Length == 0 ? record : record with { Stored = context.StoreBytes($"fifo-{record.Id}", content), Packets = packets ? lengths : [] };
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (FifoRecord)description;
        bool broken = !record.Path.StartsWith('/') || record.Path.Contains('\0') || record.Capacity is < 4096 or > MaxCapacity || record.Permissions is < 0 or > 0xFFF
            || record.Packets.Any(length => length is <= 0 or > MaxPacket) || record.Stored.Length > 0 && !context.HasStored(record.Stored);
        if (broken)
        {
            context.Refuse(record, "a FIFO", "the image is broken here", "take a new checkpoint");
            return;
        }
        (SysResult found, FileStatus file) = Files.Status(record.Path);
        string parent = System.IO.Path.GetDirectoryName(record.Path) ?? "/";
        if (found.Errno == Errno.ENOENT && Files.Status(parent).Result.Failed) context.Refuse(record, $"FIFO {record.Path}", $"its directory {parent} is missing", $"create it: mkdir -p {parent}");
        else if (found.Failed && found.Errno != Errno.ENOENT) context.Refuse(record, $"FIFO {record.Path}", $"its path can't be looked at ({found.Errno})", "run stasis as root, or make the directory accessible");
        else if (!found.Failed && !record.Nameless && file.Type != FileType.Fifo) context.Refuse(record, $"FIFO {record.Path}", "another file has taken its name", "move that file away");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (FifoRecord)description;
        string key = $"FIFO {record.DeviceMajor}:{record.DeviceMinor} {record.Inode}";
        if (!context.Shared.TryGetValue(key, out object? both)) context.Shared[key] = both = OpenBoth(record, context);
        // Through the descriptor for both ends, and without waiting for a partner: the caller sets the flags that it had.
        return Files.Open($"/proc/self/fd/{(int)both}", record.Flags & ~OpenFlags.O_DIRECT | OpenFlags.O_NONBLOCK | OpenFlags.O_NOCTTY).OrThrowDescriptor($"open of the FIFO {record.Path}");
    }

    /// <summary>Both ends of the FIFO in one descriptor, with its content; closed before the tree goes on.</summary>
    private static int OpenBoth(FifoRecord first, RebuildContext context)
    {
        string path = first.Nameless ? NewName(first.Path) : first.Path;
        SysResult made = Files.MakeNode(path, (int)FileType.Fifo | first.Permissions);
        if (!made.Failed)
        {
            context.Undo.Add(() => Files.Unlink(path));
            Files.ChangeOwner(path, first.Uid, first.Gid).OrThrow($"chown of {path}");
            Files.ChangeMode(path, first.Permissions).OrThrow($"chmod of {path}");
        }
        else if (made.Errno != Errno.EEXIST || first.Nameless) made.OrThrow($"mknod of the FIFO {path}");
        int both = Files.Open(path, OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of the FIFO {path}");
        context.CloseBeforeResume.Add(both);
        if (Files.Status(both).Status.Type != FileType.Fifo) throw new KernelRefusal($"open of the FIFO {path}, where another file is now", Errno.EEXIST);
        if (first.Nameless) Files.Unlink(path).OrThrow($"unlink of {path}");
        FifoRecord[] openings = [.. context.Descriptions.Values.OfType<FifoRecord>().Where(other => (other.DeviceMajor, other.DeviceMinor, other.Inode) == (first.DeviceMajor, first.DeviceMinor, first.Inode))];
        Fill(both, first, openings.FirstOrDefault(opening => opening.Stored.Length > 0), context);
        return both;
    }

    private static void Fill(int both, FifoRecord first, FifoRecord? withContent, RebuildContext context)
    {
        int waiting = 0;
        Files.IoControl(both, FIONREAD, ref waiting).OrThrow("ioctl(FIONREAD) of a FIFO");
        byte[] content = withContent is null ? [] : context.StoredBytes(withContent.Stored);
        if (waiting > 0)
        {
            // Somebody outside has had it open all the while. With the same content it needs no filling.
            if (content.Length > 0 && !PipeContent.Copy(both, first.Capacity).Content.AsSpan().SequenceEqual(content))
                throw new KernelRefusal($"refill of the FIFO {first.Path}, in which another program has put something else meanwhile", Errno.EEXIST);
            return;
        }
        Files.Control(both, F_SETPIPE_SZ, first.Capacity).OrThrow($"fcntl(F_SETPIPE_SZ, {first.Capacity})");
        if (withContent is not null) PipeContent.Fill(both, content, withContent.Packets);
    }

    private static string NewName(string path)
    {
        for (int i = 0; ; i++)
        {
            string name = $"{path}.stasis-{Environment.ProcessId}-{i}";
            if (Files.Status(name, followLinks: false).Result.Errno == Errno.ENOENT) return name;
        }
    }
}
