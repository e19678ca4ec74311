using Stasis.Linux;

namespace Stasis.State.Descriptors.Inotify;

/// <summary>
/// Instances of inotify: the same watches under the same numbers. Waiting events can't be looked at without taking them from a
/// target that may go on, so a program with some, and one whose files changed while it was away, is told of an overflow
/// (IN_Q_OVERFLOW), upon which it looks again by itself (man 7 inotify).
/// </summary>
public sealed class InotifyKind : DescriptorKind
{
    private const int MaxWatches = 1 << 20;
    public override string Name => "inotify";
    public override Type RecordType => typeof(InotifyRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link == "anon_inode:inotify";

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        List<InotifyLine> lines = InotifyLine.Of(sighting.Information);
        List<WatchedFile?> files = Files(sighting, context);
        for (int i = 0; i < files.Count; i++)
        {
            if (files[i] is { } file && (file.Open is null || DescriptorKinds.Of(file.Open, context) is not InotifyKind)) continue;
            // In a check the tree runs on: a watch that has gone meanwhile is no problem.
            if (Linux.Proc.ProcFdInfo.Read(sighting.Pid, sighting.Number).Information is not { } now || !InotifyLine.Of(now).Any(line => line.Number == lines[i].Number)) continue;
            context.Refuse(sighting, $"its watch {lines[i].Number} is of a file that has no name any more and that the tree does not have open (inode {lines[i].Inode} on device {lines[i].DeviceMajor}:{lines[i].DeviceMinor})",
                "let the program remove that watch (inotify_rm_watch), or checkpoint the process that has the file open too");
        }
    }

    // The frozen examination's answers serve the capture.
    private static List<WatchedFile?> Files(Sighting sighting, ExamineContext context)
    {
        string key = $"inotify {sighting.Pid} {sighting.Number}";
        if (context.Cache.TryGetValue(key, out object? known)) return (List<WatchedFile?>)known;
        using var finder = new WatchedFiles(context);
        List<WatchedFile?> files = finder.Find(InotifyLine.Of(sighting.Information));
        context.Cache[key] = files;
        return files;
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        List<InotifyLine> lines = InotifyLine.Of(sighting.Information);
        List<WatchedFile?> files = Files(sighting, context.Examined);
        HashSet<string> heard = Heard(context.Examined);
        List<InotifyWatch> watches = [];
        for (int i = 0; i < lines.Count; i++)
        {
            WatchedFile file = files[i] ?? throw new InvariantBroken($"{sighting.What} of process {sighting.Pid} has a watch without a file, which the examination should have refused");
            int description = file.Open is { } open ? context.DescriptionOf(open.Pid, open.Number) : 0;
            watches.Add(new InotifyWatch { Number = lines[i].Number, Mask = lines[i].Mask, Path = file.Path, Description = description, Listed = description == 0 && WatchSight.MayList(file.Path, heard) });
        }
        watches.Sort((a, b) => a.Number.CompareTo(b.Number));
        // First the sight, then the queue: what happens after the one shows at the restart, what happened before the other waits in it.
        string sight = WatchSight.Of(watches);
        using DescriptorHandle own = sighting.Take();
        return new InotifyRecord { Id = id, Flags = sighting.Flags, Watches = [.. watches], Sight = sight, EventsWaiting = Linux.Inotify.Waiting(own.Number) > 0 };
    }

    private static HashSet<string> Heard(ExamineContext context)
    {
        if (context.Cache.TryGetValue("inotify heard", out object? known)) return (HashSet<string>)known;
        List<(uint, string)> watches = [];
        foreach (Sighting sighting in context.All.Where(sighting => sighting.Link == "anon_inode:inotify"))
            watches.AddRange(InotifyLine.Of(sighting.Information).Zip(Files(sighting, context)).Where(pair => pair.Second is not null).Select(pair => (pair.First.Mask, pair.Second!.Value.Path)));
        HashSet<string> heard = WatchSight.Heard(watches);
        context.Cache["inotify heard"] = heard;
        return heard;
    }

    public override void Plan(Description description, PlanContext context)
    {
        const uint Allowed = Linux.Inotify.IN_ALL_EVENTS | Linux.Inotify.IN_EXCL_UNLINK | Linux.Inotify.IN_ONESHOT;
        var record = (InotifyRecord)description;
        string? damage = record.Watches.Length > MaxWatches ? $"{record.Watches.Length} watches are too many"
            : record.Watches.Any(watch => watch.Number is < 1 or int.MaxValue) || record.Watches.Zip(record.Watches.Skip(1)).Any(pair => pair.First.Number >= pair.Second.Number) ? "its watches' numbers are impossible"
            : record.Watches.Any(watch => (watch.Mask & ~Allowed) != 0 || watch.Mask == 0) ? "a watch has an impossible mask"
            : record.Watches.Any(watch => watch.Description != 0 ? watch.Path.Length > 0 || !context.Descriptions.TryGetValue(watch.Description, out Description? open) || open is InotifyRecord
                : !watch.Path.StartsWith('/') || watch.Path.Length >= 4096 || watch.Path.Contains('\0')) ? "a watch has no file"
            : null;
        if (damage is not null) context.Refuse(description, "inotify", damage, "the image is damaged; take another checkpoint");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        SysResult made = Linux.Inotify.Create();
        if (made.Errno == Errno.EMFILE) throw new KernelRefusal("inotify_init1 (fs.inotify.max_user_instances is reached: raise it with sysctl)", made.Errno);
        return made.OrThrowDescriptor("inotify_init1");
    }

    public override bool NeedsSettling(Description description) => true;

    public override void Settle(Description description, int descriptor, SettleContext context)
    {
        var record = (InotifyRecord)description;
        // Before the watches are there, or the look would show in them.
        bool changed = record.Sight.Length == 0 && record.Watches.Length > 0 || WatchSight.Of(record.Watches) != record.Sight;
        List<(InotifyWatch Watch, string Path)> watches = [.. record.Watches.Select(watch => (watch, watch.Description == 0 ? watch.Path : context.LinkOf(watch.Description)))];
        var rebuild = new InotifyRebuild(descriptor, watches);
        rebuild.Run(record.EventsWaiting || changed);
    }
}
