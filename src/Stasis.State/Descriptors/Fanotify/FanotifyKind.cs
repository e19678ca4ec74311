using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Descriptors.Inotify;

namespace Stasis.State.Descriptors.Fanotify;

/// <summary>
/// Groups that are told of events: their marks, and FAN_Q_OVERFLOW in the place of what waited and what was missed, upon which a program
/// looks again (man 7 fanotify). Groups that are asked for permission are refused: while their program is frozen everybody waits for it, we too.
/// </summary>
public sealed class FanotifyKind : DescriptorKind
{
    private const uint CarriedFlags = Linux.Fanotify.FAN_CLOEXEC | Linux.Fanotify.FAN_NONBLOCK | Linux.Fanotify.FAN_UNLIMITED_MARKS | Linux.Fanotify.FAN_REPORT_PIDFD | Linux.Fanotify.FAN_REPORT_TID | Linux.Fanotify.FAN_REPORT_FID
        | Linux.Fanotify.FAN_REPORT_DIR_FID | Linux.Fanotify.FAN_REPORT_NAME | Linux.Fanotify.FAN_REPORT_TARGET_FID;
    private const uint CarriedMarkFlags = Linux.Fanotify.FAN_MARK_IGNORED_SURV_MODIFY | Linux.Fanotify.FAN_MARK_EVICTABLE | Linux.Fanotify.FAN_MARK_IGNORE;
    private const int CAP_SYS_ADMIN = 21, MaxMarks = 1 << 20;
    private const string EndIt = "end the program's file monitoring first";

    public override string Name => "fanotify";
    public override Type RecordType => typeof(FanotifyRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link is "anon_inode:[fanotify]";

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (FanotifyLine.Group(sighting.Information) is not { } group || FanotifyLine.Of(sighting.Information) is not { } lines)
            context.Refuse(sighting, "the marks of this fanotify group are of a kind that is not carried yet", EndIt);
        else if ((group.Flags & (Linux.Fanotify.FAN_CLASS_CONTENT | Linux.Fanotify.FAN_CLASS_PRE_CONTENT)) != 0 || lines.Any(line => ((line.Mask | line.Ignored) & Linux.Fanotify.PermissionEvents) != 0))
            context.Refuse(sighting, "this fanotify group is asked for permission when others use files: while its program is frozen they, and this stasis, would wait for it", EndIt);
        else if ((group.Flags & Linux.Fanotify.FAN_UNLIMITED_QUEUE) != 0) context.Refuse(sighting, "a fanotify group without a limit (FAN_UNLIMITED_QUEUE) can't be told that it missed something", EndIt);
        else if ((group.Flags & ~CarriedFlags) != 0 || lines.Any(line => (line.Flags & ~CarriedMarkFlags) != 0)) context.Refuse(sighting, $"a fanotify group with flags 0x{group.Flags & ~CarriedFlags:x} is not carried yet", EndIt);
        else if (ProcStatus.Read($"/proc/{sighting.Bearer.Pid}") is { } status && (status.Hex("CapEff") >> CAP_SYS_ADMIN & 1) == 0) context.Refuse(sighting, "a fanotify group of a program without CAP_SYS_ADMIN, which is told less, is not carried yet", EndIt);
        else Find(sighting, lines, context);
    }

    private static void Find(Sighting sighting, List<FanotifyLine> lines, ExamineContext context)
    {
        List<WatchedFile?> files = Places(sighting, lines, context);
        for (int i = 0; i < lines.Count; i++)
        {
            if (files[i] is { } file && (file.Open is null || DescriptorKinds.Of(file.Open, context) is not (FanotifyKind or InotifyKind))) continue;
            // In a check the tree runs on: a mark that has gone meanwhile is no problem.
            if (ProcFdInfo.Read(sighting.Pid, sighting.Number).Information is not { } now || FanotifyLine.Of(now)?.Contains(lines[i]) == false) continue;
            context.Refuse(sighting, lines[i].Kind == FanotifyMarkKind.File ? $"a mark of it is of a file that has no name any more and that the tree does not have open (inode {lines[i].File!.Inode})" : "a mark of it is of a mount or file system that is not found here", "let the program remove that mark");
        }
    }

    // Where each mark's file, mount or file system is found, in their order. The frozen examination's answers serve the capture.
    private static List<WatchedFile?> Places(Sighting sighting, List<FanotifyLine> lines, ExamineContext context)
    {
        string key = $"fanotify {sighting.Pid} {sighting.Number}";
        if (context.Cache.TryGetValue(key, out object? known)) return (List<WatchedFile?>)known;
        using var finder = new WatchedFiles(context);
        Queue<WatchedFile?> found = new(finder.Find([.. lines.Where(line => line.File is not null).Select(line => line.File!)]));
        List<MountLine> mounts = MountLine.ReadAll();
        List<WatchedFile?> places = [.. lines.Select(line => line.Kind switch
        {
            FanotifyMarkKind.File => found.Dequeue(),
            FanotifyMarkKind.Mount => Point(mounts.FirstOrDefault(mount => mount.Id == line.Mount)),
            _ => Point(mounts.FirstOrDefault(mount => mount.Device == line.Device)),
        })];
        context.Cache[key] = places;
        return places;
    }

    private static WatchedFile? Point(MountLine? mount) => mount is null || mount.Point.Contains('\uFFFD') ? null : new WatchedFile(mount.Point, null);

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        (uint flags, uint eventFlags) = FanotifyLine.Group(sighting.Information)!.Value;
        List<FanotifyLine> lines = FanotifyLine.Of(sighting.Information)!;
        List<WatchedFile?> files = Places(sighting, lines, context.Examined);
        List<FanotifyMark> marks = [];
        for (int i = 0; i < lines.Count; i++)
        {
            WatchedFile file = files[i] ?? throw new InvariantBroken($"{sighting.What} of process {sighting.Pid} has a mark without a file, which the examination should have refused");
            marks.Add(new FanotifyMark(lines[i].Kind, file.Path, file.Open is { } open ? context.DescriptionOf(open.Pid, open.Number) : 0, lines[i].Flags, lines[i].Mask, lines[i].Ignored));
        }
        return new FanotifyRecord { Id = id, Flags = sighting.Flags, GroupFlags = flags, EventFlags = eventFlags, Marks = [.. marks] };
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (FanotifyRecord)description;
        string? damage = (record.GroupFlags & ~CarriedFlags) != 0 || record.Marks.Length > MaxMarks ? "its flags are impossible"
            : record.Marks.Any(mark => !Enum.IsDefined(mark.Kind) || (mark.Flags & ~CarriedMarkFlags) != 0 || ((mark.Mask | mark.Ignored) & Linux.Fanotify.PermissionEvents) != 0) ? "a mark has an impossible mask"
            : record.Marks.Any(mark => mark.Description != 0 ? mark.Path.Length > 0 || !context.Descriptions.TryGetValue(mark.Description, out Description? open) || open is FanotifyRecord or InotifyRecord
                : !mark.Path.StartsWith('/') || mark.Path.Length >= 4096 || mark.Path.Contains('\0')) ? "a mark has no file"
            : null;
        if (damage is not null) context.Refuse(description, "fanotify", damage, "the image is damaged; take another checkpoint");
        foreach (FanotifyMark mark in record.Marks.Where(mark => mark is { Description: 0, Kind: not FanotifyMarkKind.File } && Files.Status(mark.Path).Result.Failed))
            context.Refuse(description, "fanotify", $"it watches what is mounted at {mark.Path}, which is not there", "mount it again");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (FanotifyRecord)description;
        return Linux.Fanotify.Create(record.GroupFlags | Linux.Fanotify.FAN_CLOEXEC | Linux.Fanotify.FAN_NONBLOCK, record.EventFlags).OrThrowDescriptor($"fanotify_init with flags 0x{record.GroupFlags:x}");
    }

    public override bool NeedsSettling(Description description) => true;

    public override void Settle(Description description, int descriptor, SettleContext context)
    {
        var record = (FanotifyRecord)description;
        if (record.Marks.Length == 0) return;
        FanotifyOverflow.Tell(descriptor);
        foreach (FanotifyMark mark in record.Marks) Add(descriptor, mark, mark.Description == 0 ? mark.Path : context.LinkOf(mark.Description));
    }

    private static void Add(int group, FanotifyMark mark, string path)
    {
        uint kind = mark.Kind switch { FanotifyMarkKind.Mount => Linux.Fanotify.FAN_MARK_MOUNT, FanotifyMarkKind.FileSystem => Linux.Fanotify.FAN_MARK_FILESYSTEM, _ => mark.Description == 0 ? Linux.Fanotify.FAN_MARK_DONT_FOLLOW : 0 };
        if (mark.Mask != 0) Mark(group, kind | mark.Flags & Linux.Fanotify.FAN_MARK_EVICTABLE, mark.Mask, path);
        if (mark.Ignored == 0) return;
        uint ignore = (mark.Flags & Linux.Fanotify.FAN_MARK_IGNORE) != 0 ? Linux.Fanotify.FAN_MARK_IGNORE : Linux.Fanotify.FAN_MARK_IGNORED_MASK;
        Mark(group, kind | ignore | mark.Flags & (Linux.Fanotify.FAN_MARK_EVICTABLE | Linux.Fanotify.FAN_MARK_IGNORED_SURV_MODIFY), mark.Ignored, path);
    }

    // A file that is gone by now has no mark any more, as if it had gone before the program's eyes; the overflow tells it to look.
    private static void Mark(int group, uint flags, uint mask, string path)
    {
        SysResult added = Linux.Fanotify.Mark(group, Linux.Fanotify.FAN_MARK_ADD | flags, mask, OpenFlags.AT_FDCWD, path);
        if (added.Errno is not (Errno.ENOENT or Errno.ENOTDIR)) added.OrThrow($"fanotify_mark of {path} with mask 0x{mask:x}");
    }
}

/// <summary>
/// Leaves one FAN_Q_OVERFLOW in a new group's queue: files of ours, on a file system of ours, fill it until the kernel itself says that it is
/// full; all but that last one are read away. Each file is another, as equal events would be made one.
/// </summary>
internal static class FanotifyOverflow
{
    public static void Tell(int group)
    {
        using var scratch = new DescriptorHandle(Linux.Fanotify.OpenScratch().OrThrowDescriptor("fsmount of a tmpfs"));
        int most = int.Parse(Files.ReadText("/proc/sys/fs/fanotify/max_queued_events").Text.Trim(), CultureInfo.InvariantCulture);
        Linux.Fanotify.Mark(group, Linux.Fanotify.FAN_MARK_ADD | Linux.Fanotify.FAN_MARK_MOUNT, Linux.Fanotify.FAN_OPEN, scratch.Number, ".").OrThrow("fanotify_mark of a mount of our own");
        for (int i = 0; i <= most; i++)
            Files.Close(Files.OpenAt(scratch.Number, $"{i:x8}", OpenFlags.O_RDONLY | OpenFlags.O_CREAT | OpenFlags.O_EXCL | OpenFlags.O_CLOEXEC, 0x180).OrThrowDescriptor("creation of a file of our own"));
        Linux.Fanotify.Mark(group, Linux.Fanotify.FAN_MARK_REMOVE | Linux.Fanotify.FAN_MARK_MOUNT, Linux.Fanotify.FAN_OPEN, scratch.Number, ".").OrThrow("fanotify_mark of a mount of our own");
        TakeAllButOne(group);
    }

    private static void TakeAllButOne(int group)
    {
        byte[] buffer = new byte[4096];
        int length = Linux.Fanotify.EventSize;
        for (int waiting = Linux.Fanotify.Waiting(group); waiting > 1; waiting = Linux.Fanotify.Waiting(group))
        {
            // As many as surely are not the last; then one by one, in as little room as one takes: less is refused, and takes nothing.
            bool many = waiting - 1 > buffer.Length / Linux.Fanotify.EventSize;
            SysResult taken = Linux.Fanotify.Take(group, many ? buffer : buffer.AsSpan(0, length));
            if (taken.Errno == Errno.EINVAL && length < buffer.Length) length += 4;
            else taken.OrThrow("read of our own events");
        }
        InvariantBroken.Require(Linux.Fanotify.Waiting(group) == 1, "the news of an overflow did not stay in the queue");
    }
}
