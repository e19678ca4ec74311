using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Memory;

/// <summary>An inode as the capture knows it: its record so far and a way to reach its content while it lives.</summary>
public sealed class CataloguedObject
{
    public required ObjectRecord Record { get; set; }

    /// <summary>A magic link through which it can be opened (/proc/PID/map_files/… or /proc/PID/fd/N).</summary>
    public required string Handle { get; init; }
}

/// <summary>Every inode that is mapped or lives only through the tree, by identity, whoever found it first.</summary>
public sealed class ObjectCatalogue
{
    private readonly Dictionary<(uint, uint, ulong), CataloguedObject> _byInode = [];
    private readonly Dictionary<(uint, uint, ulong), CataloguedObject> _byMapsLine = [];
    public IEnumerable<CataloguedObject> All => _byInode.Values;

    /// <summary>The object behind a mapping; null with a reason when it can't be carried.</summary>
    public (CataloguedObject? Object, string? Why, string? Advice) OfMapping(int pid, ProcMapping mapping)
    {
        var key = (mapping.DeviceMajor, mapping.DeviceMinor, mapping.Inode);
        if (!_byMapsLine.TryGetValue(key, out CataloguedObject? known))
        {
            string handle = $"/proc/{pid}/map_files/{mapping.Range}";
            (CataloguedObject? found, string? why, string? advice) = Find(pid, handle, mapping.Name);
            if (found is null) return (null, why, advice);
            _byMapsLine[key] = known = found;
        }
        // A shared mapping that may be written must be opened for writing, whatever its protection is now ("mw": may write).
        if (mapping.Shared && mapping.Has("mw")) known.Record = known.Record with { Writable = true, OpenForWriting = true };
        return (known, null, null);
    }

    /// <summary>The object behind /proc/PID/exe.</summary>
    public (CataloguedObject? Object, string? Why, string? Advice) OfExecutable(int pid) => Find(pid, $"/proc/{pid}/exe", Files.ReadLink($"/proc/{pid}/exe").Target);

    /// <summary>The object behind a descriptor of a regular file, memfd or shared memory.</summary>
    public (CataloguedObject? Object, string? Why, string? Advice) OfDescriptor(int pid, int number, string link) => Find(pid, $"/proc/{pid}/fd/{number}", link);

    private (CataloguedObject?, string?, string?) Find(int pid, string handle, string name)
    {
        (SysResult result, FileStatus status) = Files.Status(handle);
        if (result.Failed) return (null, $"it can't be looked at ({result.Errno})", "run stasis as root, or with CAP_CHECKPOINT_RESTORE and CAP_SYS_PTRACE");
        if (_byInode.TryGetValue(status.Identity, out CataloguedObject? known)) return (known, null, null);
        if (Refusal(name, status) is { } refusal) return (null, refusal.Why, refusal.Advice);
        (ObjectKind kind, string? path) = NameServiceCache.Is(name) ? (ObjectKind.MemoryFile, "nscd") : Classify(pid, name, status);
        if (path is null) return (null, "its name leads to another file now and no other name of it was found", "put the file back under its name, or let the program open it again");
        var record = new ObjectRecord
        {
            Id = _byInode.Count + 1,
            Kind = kind,
            DeviceMajor = status.DeviceMajor,
            DeviceMinor = status.DeviceMinor,
            Inode = status.Inode,
            Path = path,
            Volatile = path.StartsWith("/proc/", StringComparison.Ordinal) || path.StartsWith("/sys/", StringComparison.Ordinal),
            Size = status.Size,
            ModifiedNanoseconds = status.ModifiedNanoseconds,
            HugePage = status.DeviceMajor == 0 ? HugePages.PageSizeOf(handle) : 0,
            Permissions = status.Permissions,
            Uid = status.Uid,
            Gid = status.Gid,
        };
        _byInode[status.Identity] = known = new CataloguedObject { Record = record, Handle = handle };
        return (known, null, null);
    }

    /// <summary>The name that the kernel gives the file behind MAP_ANONYMOUS | MAP_HUGETLB (include/linux/hugetlb.h, HUGETLB_ANON_FILE).</summary>
    public const string AnonymousHugePages = "/anon_hugepage (deleted)";

    private static (string Why, string Advice)? Refusal(string name, FileStatus status)
    {
        if (name.Contains('\uFFFD')) return ("its name is not UTF-8", "rename the file");
        if (name.StartsWith("/SYSV", StringComparison.Ordinal)) return ("a descriptor of System V shared memory is not carried", "let the program close it first");
        if (name.StartsWith("anon_inode:", StringComparison.Ordinal) || name.StartsWith("/[aio]", StringComparison.Ordinal)) return ($"memory of {name} (a kernel object) is not carried yet", "let the program close it first");
        if (status is { Type: FileType.CharacterDevice, RawMajor: 1, RawMinor: 5 }) return null; // /dev/zero: private memory by another name
        if (name.StartsWith("/secretmem", StringComparison.Ordinal) && status is { DeviceMajor: 0, Links: 0 or 1 })
            return ("secret memory (memfd_secret) is not carried: what nobody but the program may read would lie in the image", "let the program unmap it first");
        if (name.StartsWith("/drm", StringComparison.Ordinal) || status.Type is FileType.CharacterDevice or FileType.BlockDevice) return ($"a mapping of the device {name} can't be carried", "let the program unmap the device first");
        return status.Type == FileType.Regular ? null : ($"{name} is not a regular file", "let the program unmap it first");
    }

    private static (ObjectKind Kind, string? Path) Classify(int pid, string name, FileStatus status)
    {
        const string Deleted = " (deleted)";
        bool gone = name.EndsWith(Deleted, StringComparison.Ordinal);
        if (name is "/dev/zero (deleted)" or AnonymousHugePages && status.Links == 0) return (ObjectKind.SharedAnonymous, "");
        if (name.StartsWith("/memfd:", StringComparison.Ordinal)) return (ObjectKind.MemoryFile, (gone ? name[..^Deleted.Length] : name)["/memfd:".Length..]);
        string path = gone ? name[..^Deleted.Length] : name;
        if (status.Links == 0) return (ObjectKind.Deleted, path);
        string inProcess = $"/proc/{pid}/root{path}";
        if (!gone && Files.Status(inProcess) is { Result.Failed: false } found && found.Status.Identity == status.Identity) return (ObjectKind.File, path);
        return (ObjectKind.File, OtherName.Find(path, status));
    }
}

/// <summary>Another name of an inode whose known name is gone (renamed, or one of several links removed).</summary>
public static class OtherName
{
    private const int MaxEntries = 100_000;

    /// <summary>Looks in the directory of the old name; null when there is none.</summary>
    public static string? Find(string oldPath, FileStatus wanted)
    {
        string directory = System.IO.Path.GetDirectoryName(oldPath) ?? "/";
        (SysResult result, List<string> names) = Files.List(directory);
        if (result.Failed) return null;
        foreach (string name in names.Take(MaxEntries))
        {
            string path = directory == "/" ? $"/{name}" : $"{directory}/{name}";
            if (Files.Status(path, followLinks: false) is { Result.Failed: false } found && found.Status.Identity == wanted.Identity) return path;
        }
        return null;
    }
}
