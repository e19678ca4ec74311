using Stasis.Linux;

namespace Stasis.State.Memory;

/// <summary>How a file differs from what it was at the checkpoint.</summary>
public readonly record struct FileChange(bool Missing, bool Grown, bool Any, string Words)
{
    /// <summary>Whether another path leads to the same inode.</summary>
    public static bool Same(ObjectRecord file, string path) =>
        Files.Status(file.Path) is { Result.Failed: false } one && Files.Status(path) is { Result.Failed: false } other && one.Status.Identity == other.Status.Identity;

    /// <summary>The same when size and time of modification are the same, whatever its inode number (a package installed on another host).</summary>
    public static FileChange Of(ObjectRecord file)
    {
        (SysResult result, FileStatus now) = Files.Status(file.Path);
        if (result.Failed) return new FileChange(true, false, true, $"{file.Path} is gone");
        if (now.Type == FileType.CharacterDevice && file.Path == "/dev/zero") return default;
        if (now.Type != FileType.Regular) return new FileChange(true, false, true, $"{file.Path} is not a regular file any more");
        // A file mapped for writing may change without its time changing: where the content is known, that decides.
        if (file is { OpenForWriting: true, ContentHash.Length: > 0 })
            return now.Size == file.Size && FileContent.Hash(file.Path) == file.ContentHash ? default : new FileChange(false, false, true, $"{file.Path} was written since the checkpoint");
        if (now.Size == file.Size && now.ModifiedNanoseconds == file.ModifiedNanoseconds) return default;
        if (file.ContentHash.Length > 0 && now.Size == file.Size && FileContent.Hash(file.Path) == file.ContentHash) return default;
        string words = now.Size != file.Size ? $"{file.Path} has {now.Size} bytes now, {file.Size} at the checkpoint" : $"{file.Path} was written since the checkpoint";
        return new FileChange(false, now.Size > file.Size, true, words);
    }
}

/// <summary>The hash of a whole file.</summary>
public static class FileContent
{
    /// <summary>Empty when it can't be read.</summary>
    public static string Hash(string path)
    {
        SysResult opened = Files.Open(path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return "";
        using var file = new DescriptorHandle(opened.Descriptor);
        (SysResult result, FileStatus status) = Files.Status(file.Number);
        if (result.Failed) return "";
        var hash = new Stasis.Image.ContentHash();
        Stasis.Image.SparseCopy.Run(file.Number, null, status.Size, hash);
        return hash.Finish();
    }
}
