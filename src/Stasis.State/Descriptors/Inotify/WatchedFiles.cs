using Stasis.Linux;

namespace Stasis.State.Descriptors.Inotify;

/// <summary>Where a watched inode is found: by a path, or, where that is gone, through a descriptor of the tree.</summary>
internal readonly record struct WatchedFile(string Path, Sighting? Open);

/// <summary>
/// Finds names for watched inodes, of which the kernel tells only device, number and file handle. By the handle where the file
/// system can open one; else by a look at the whole file system (an overlay without nfs_export). What a walk found is proved by a
/// watch of our own, whose line in fdinfo must tell the same inode.
/// </summary>
internal sealed class WatchedFiles(ExamineContext context) : IDisposable
{
    private const int MaxVisited = 300_000;

    // Names found before the freeze, so that a walk need not happen again in it. Each is proved before it is believed.
    private static readonly Dictionary<(uint, uint, ulong), string> s_found = [];

    private readonly Dictionary<(uint, uint), List<DescriptorHandle>> _mounts = [];
    private readonly HashSet<(uint, uint)> _walked = [];
    private List<MountLine>? _mountLines;
    private DescriptorHandle? _probe;

    /// <summary>A word on each line, in their order; null where neither a name nor a descriptor was found.</summary>
    public List<WatchedFile?> Find(IReadOnlyList<InotifyLine> lines)
    {
        List<WatchedFile?> found = [.. lines.Select(line => ByHandle(line) ?? ByDescriptor(line) ?? ByName(line))];
        List<InotifyLine> missing = [.. lines.Where((_, i) => found[i] is null)];
        foreach ((uint, uint) device in missing.Select(line => (line.DeviceMajor, line.DeviceMinor)).Distinct()) Walk(device, missing);
        for (int i = 0; i < found.Count; i++) found[i] ??= ByName(lines[i]);
        return found;
    }

    private WatchedFile? ByHandle(InotifyLine line)
    {
        if (line.Handle.Length == 0) return null;
        foreach (DescriptorHandle mount in Mounts(line))
        {
            SysResult opened = FileHandles.Open(mount.Number, line.HandleType, line.Handle);
            if (opened.Failed) continue;
            using var file = new DescriptorHandle(opened.Descriptor);
            (SysResult result, FileStatus status) = Files.Status(file.Number);
            if (result.Failed || status.Links == 0) return null;
            string path = Files.ReadLink($"/proc/self/fd/{file.Number}").Target;
            // Through a mount of a part of the file system, or covered by another mount, it has no such name.
            if (path.StartsWith('/') && !path.Contains('\uFFFD') && Files.Status(path, followLinks: false) is { Result.Failed: false } named && named.Status.Identity == status.Identity)
                return new WatchedFile(path, null);
        }
        return null;
    }

    private List<DescriptorHandle> Mounts(InotifyLine line)
    {
        if (_mounts.TryGetValue((line.DeviceMajor, line.DeviceMinor), out List<DescriptorHandle>? mounts)) return mounts;
        _mounts[(line.DeviceMajor, line.DeviceMinor)] = mounts = [];
        foreach (MountLine mount in MountsOf((line.DeviceMajor, line.DeviceMinor)))
        {
            SysResult opened = Files.Open(mount.Point, OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY | OpenFlags.O_CLOEXEC);
            if (!opened.Failed) mounts.Add(new DescriptorHandle(opened.Descriptor));
        }
        return mounts;
    }

    private IEnumerable<MountLine> MountsOf((uint, uint) device) => (_mountLines ??= MountLine.ReadAll()).Where(mount => mount.Device == device);

    private WatchedFile? ByDescriptor(InotifyLine line)
    {
        foreach (Sighting sighting in context.All)
            if (sighting.Status.Inode == line.Inode && Proves($"/proc/{sighting.Pid}/fd/{sighting.Number}", 0, line)) return new WatchedFile("", sighting);
        return null;
    }

    private WatchedFile? ByName(InotifyLine line) =>
        s_found.TryGetValue(line.Identity, out string? path) && Proves(path, Linux.Inotify.IN_DONT_FOLLOW, line) ? new WatchedFile(path, null) : null;

    private bool Proves(string path, uint flags, InotifyLine line)
    {
        _probe ??= new DescriptorHandle(Linux.Inotify.Create().OrThrowDescriptor("inotify_init1"));
        SysResult added = Linux.Inotify.Add(_probe.Number, path, Linux.Inotify.IN_ATTRIB | flags);
        if (added.Failed) return false;
        bool same = ProcFdInfoOfOwn(_probe.Number).Any(own => own.Number == added.Value && own.Identity == line.Identity);
        Linux.Inotify.Remove(_probe.Number, added.Descriptor);
        return same;
    }

    private static List<InotifyLine> ProcFdInfoOfOwn(int descriptor) =>
        Linux.Proc.ProcFdInfo.Read(Environment.ProcessId, descriptor).Information is { } information ? InotifyLine.Of(information) : [];

    // By inode number as statx tells it, which mostly is the kernel's own; breadth first, as what is watched mostly lies near the top.
    private void Walk((uint, uint) device, List<InotifyLine> wanted)
    {
        if (!_walked.Add(device)) return;
        Dictionary<ulong, InotifyLine> open = [];
        foreach (InotifyLine line in wanted) if ((line.DeviceMajor, line.DeviceMinor) == device) open.TryAdd(line.Inode, line);
        foreach (MountLine mount in MountsOf(device))
        {
            if (open.Count == 0) return;
            Queue<string> directories = new([mount.Point]);
            (_, FileStatus top) = Files.Status(mount.Point);
            Look(mount.Point, top);
            for (int visited = 0; open.Count > 0 && visited < MaxVisited && directories.TryDequeue(out string? directory);)
            {
                foreach (string name in Files.List(directory).Names)
                {
                    // Processes come and go, and each has a tree of its own.
                    if (mount.Type == "proc" && directory == mount.Point && char.IsAsciiDigit(name[0])) continue;
                    visited++;
                    string path = directory == "/" ? $"/{name}" : $"{directory}/{name}";
                    (SysResult result, FileStatus status) = Files.Status(path, followLinks: false);
                    if (result.Failed) continue;
                    Look(path, status);
                    if (status.Type == FileType.Directory && (status.DeviceMajor, status.DeviceMinor) == (top.DeviceMajor, top.DeviceMinor)) directories.Enqueue(path);
                }
            }
        }
        void Look(string path, FileStatus status)
        {
            if (!open.TryGetValue(status.Inode, out InotifyLine? line) || path.Contains('\uFFFD') || !Proves(path, Linux.Inotify.IN_DONT_FOLLOW, line)) return;
            s_found[line.Identity] = path;
            open.Remove(status.Inode);
        }
    }

    public void Dispose()
    {
        _probe?.Dispose();
        foreach (DescriptorHandle mount in _mounts.Values.SelectMany(mounts => mounts)) mount.Dispose();
    }
}

/// <summary>A line of /proc/PID/mountinfo (man 5 proc_pid_mountinfo): the device of the file system, where it is mounted, its type.</summary>
internal sealed record MountLine(int Id, (uint Major, uint Minor) Device, string Point, string Type)
{
    public static List<MountLine> ReadAll() => [.. Files.ReadText("/proc/self/mountinfo").Text.Split('\n').Select(Parse).OfType<MountLine>()];

    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    internal static MountLine? Parse(string line)
    {
        string[] words = line.Split(' ');
        int dash = Array.IndexOf(words, "-");
        if (words.Length < 5 || dash < 0 || dash + 1 >= words.Length) return null;
        string[] device = words[2].Split(':');
        if (device.Length != 2 || !uint.TryParse(device[0], out uint major) || !uint.TryParse(device[1], out uint minor)) return null;
        if (!int.TryParse(words[0], out int id)) return null;
        return new MountLine(id, (major, minor), Unescape(words[4]), words[dash + 1]);
    }

    // Blank, tab, newline and backslash stand as three octal digits.
    private static string Unescape(string text) =>
        text.Replace("\\040", " ", StringComparison.Ordinal).Replace("\\011", "\t", StringComparison.Ordinal).Replace("\\012", "\n", StringComparison.Ordinal).Replace("\\134", "\\", StringComparison.Ordinal);
}
