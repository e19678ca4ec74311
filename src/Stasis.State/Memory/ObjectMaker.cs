using Stasis.Image;
using Stasis.Linux;

namespace Stasis.State.Memory;

/// <summary>Finds or makes the image's inodes in our own process, each once, and opens them as often as asked.</summary>
public sealed class ObjectMaker(IReadOnlyDictionary<int, ObjectRecord> objects, PageReader pages, List<int> closeBeforeResume)
{
    private const int MFD_ALLOW_SEALING = 2, F_ADD_SEALS = 1033, F_SEAL_SEAL = 1;
    private readonly Dictionary<int, int> _made = [];

    // The description that made a file without a name is the one that shows O_TMPFILE in its flags.
    private readonly Dictionary<int, int> _makers = [];

    /// <summary>A new open file description; inherited by what we start. Errors: <see cref="KernelRefusal"/>.</summary>
    /// <param name="path">The name to open a file by, where it has several.</param>
    public int Open(int id, int flags, string? path = null)
    {
        ObjectRecord file = objects[id];
        bool asked = (flags & OpenFlags.__O_TMPFILE) != 0;
        flags &= ~(OpenFlags.O_CREAT | OpenFlags.O_EXCL | OpenFlags.O_TRUNC | OpenFlags.O_CLOEXEC | OpenFlags.O_TMPFILE | (objects[id].Kind == ObjectKind.File ? 0 : OpenFlags.O_NOFOLLOW));
        if (file.Kind == ObjectKind.File) return Files.Open(path ?? file.Path, flags | OpenFlags.O_NOCTTY).OrThrowDescriptor($"open of {path ?? file.Path}");
        if (!_made.TryGetValue(id, out int made))
        {
            _made[id] = made = Make(file);
            closeBeforeResume.Add(made);
        }
        if (asked && _makers.Remove(id, out int maker)) return maker;
        return Files.Open($"/proc/self/fd/{made}", flags).OrThrowDescriptor($"open of {file.Kind} {file.Path}");
    }

    /// <summary>Seals can only be added when all the content is there and nobody maps it for writing who may not: last.</summary>
    public void Seal()
    {
        foreach ((int id, int descriptor) in _made)
        {
            ObjectRecord file = objects[id];
            if (file.Kind != ObjectKind.MemoryFile || file.Seals <= 0) continue;
            using var writer = new DescriptorHandle(Files.Open($"/proc/self/fd/{descriptor}", OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of memfd {file.Path}"));
            Files.Control(writer.Number, F_ADD_SEALS, file.Seals).OrThrow($"fcntl(F_ADD_SEALS) of memfd {file.Path}");
        }
    }

    private int Make(ObjectRecord file)
    {
        int descriptor = file.Kind switch
        {
            ObjectKind.SharedAnonymous => SharedMemory.Create((ulong)Math.Max(4096, file.Size), file.HugePage),
            ObjectKind.MemoryFile => Files.MemoryFile(file.Path, (file.Seals >= 0 && (file.Seals & F_SEAL_SEAL) == 0 || file.Seals > 0 ? (uint)MFD_ALLOW_SEALING : 0)
                | (file.HugePage == 0 ? 0 : HugePages.MFD_HUGETLB | HugePages.SizeFlag(file.HugePage)))
                .OrThrowDescriptor($"memfd_create of {file.Path}"),
            _ => MakeGhost(file),
        };
        if (file.Kind != ObjectKind.SharedAnonymous) Files.Truncate(descriptor, file.Size).OrThrow($"setting the size of {file.Path}");
        Fill(file, descriptor);
        if (file.Kind != ObjectKind.SharedAnonymous && file.Permissions != 0)
        {
            // Without its owner it must not have its owner's rights (set-user-id, set-group-id).
            bool owned = !Kernel.Call(Syscall.fchown, descriptor, (nint)file.Uid, (nint)file.Gid).Failed;
            Kernel.Call(Syscall.fchmod, descriptor, owned ? file.Permissions : file.Permissions & 0x1FF).OrThrow($"fchmod of {file.Path}");
        }
        if (file.Kind == ObjectKind.SharedAnonymous) return descriptor;
        // Kept for reading only: a file open for writing can't be a process's executable.
        int reader = Files.Open($"/proc/self/fd/{descriptor}", OpenFlags.O_RDONLY).OrThrowDescriptor($"open of {file.Path}");
        if (file.MadeNameless != 0)
        {
            _makers[file.Id] = descriptor;
            closeBeforeResume.Add(descriptor);
        }
        else Files.Close(descriptor);
        return reader;
    }

    // Under its old name where that is free, so that /proc shows the same, and unlinked at once.
    private static int MakeGhost(ObjectRecord file)
    {
        string directory = System.IO.Path.GetDirectoryName(file.Path) ?? "/";
        if (file.MadeNameless != 0)
        {
            int flags = file.MadeNameless & (OpenFlags.O_SYNC | OpenFlags.O_NOATIME) | ((file.MadeNameless & OpenFlags.O_ACCMODE) == OpenFlags.O_WRONLY ? OpenFlags.O_WRONLY : OpenFlags.O_RDWR);
            return Files.Open(directory, flags | OpenFlags.O_TMPFILE, 0x180).OrThrowDescriptor($"creation of a file without a name in {directory}");
        }
        SysResult named = Files.Open(file.Path, OpenFlags.O_RDWR | OpenFlags.O_CREAT | OpenFlags.O_EXCL, 0x180);
        if (!named.Failed)
        {
            Files.Unlink(file.Path).OrThrow($"unlink of the ghost file {file.Path}");
            return named.Descriptor;
        }
        return Files.Open(directory, OpenFlags.O_RDWR | OpenFlags.O_TMPFILE, 0x180).OrThrowDescriptor($"creation of a ghost file in {directory}");
    }

    private void Fill(ObjectRecord file, int descriptor)
    {
        if (file.Pages is null) return;
        ObjectFill.Run(pages, file.Pages, (ulong)file.Size, (offset, bytes) =>
            (file.HugePage == 0 ? Files.WriteAllAt(descriptor, bytes, (long)offset) : HugePages.WriteAllAt(descriptor, bytes, (long)offset, file.HugePage)).OrThrow($"write of {file.Path}"));
    }
}
