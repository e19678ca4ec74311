using Stasis.Linux;

namespace Stasis.State.Descriptors.Directory;

/// <summary>
/// A directory that was removed while a program was in it. It is made again, entered, and removed: under its old name where that
/// is free, so that /proc shows the same, else under a new one beside it.
/// </summary>
public static class RemovedDirectory
{
    public const int Mode = 0x1C0; // 0700

    /// <summary>What must be made so that it is there, the outermost first and itself last: what it was in may be removed too.</summary>
    public static List<string> ToMake(string path)
    {
        List<string> missing = [];
        string place = path;
        while (place != "/" && Files.Status(place, followLinks: false).Result.Errno is Errno.ENOENT or Errno.ENOTDIR)
        {
            missing.Insert(0, place);
            place = Parent(place);
        }
        if (missing.Count > 0 && Files.Status(place).Status.Type == FileType.Directory) return missing;
        // Its name, or that of a directory it was in, is another file's now.
        if (missing.Count == 0 || Files.Status(place).Status.Type != FileType.Directory) place = Parent(place);
        for (int i = 0; ; i++)
        {
            string name = $"{(place == "/" ? "" : place)}/.stasis-removed-{Environment.ProcessId}-{i}";
            SysResult found = Files.Status(name, followLinks: false).Result;
            if (found.Errno == Errno.ENOENT) return [name];
            if (found.Failed) throw new KernelRefusal($"look for a free name in {place}", found.Errno);
        }
    }

    /// <summary>An open one. Errors: <see cref="KernelRefusal"/>.</summary>
    public static int Open(string path, int flags)
    {
        List<string> made = ToMake(path);
        foreach (string directory in made) Files.MakeDirectory(directory, Mode).OrThrow($"mkdir of {directory}");
        int descriptor = Files.Open(made[^1], flags | OpenFlags.O_DIRECTORY).OrThrowDescriptor($"open of {made[^1]}");
        foreach (string directory in Enumerable.Reverse(made)) Files.RemoveDirectory(directory).OrThrow($"rmdir of {directory}");
        return descriptor;
    }

    private static string Parent(string path) => System.IO.Path.GetDirectoryName(path) ?? "/";
}
