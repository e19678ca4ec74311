using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Stasis.Linux;

namespace Stasis.Image;

/// <summary>
/// Writes an image under a temporary name beside its own and renames it into place when the last byte is on disk: it is complete
/// or it is not there. Disposed without <see cref="Commit"/>, it removes what it wrote.
/// </summary>
public sealed class ImageWriter : IDisposable
{
    private const int MaxSyncs = 12;
    private static readonly TimeSpan s_nearlyNothing = TimeSpan.FromMilliseconds(5);
    private readonly string _final, _realPath, _realFinal;
    private readonly List<ImageFile> _files = [];
    private readonly List<string> _directories = [];
    private bool _committed;

    /// <summary>Errors: <see cref="KernelRefusal"/> (EEXIST when the directory is already there).</summary>
    public ImageWriter(string directory)
    {
        _final = System.IO.Path.GetFullPath(directory);
        if (!Files.Status(_final, followLinks: false).Result.Failed) throw new KernelRefusal($"creation of the image {directory}", Errno.EEXIST);
        RemoveForgotten();
        Path = $"{_final}.partial.{Environment.ProcessId}";
        Files.MakeDirectory(Path, 0x1C0 /* 0700 */).OrThrow($"creation of {Path}");
        _directories.Add(Path);
        // As the kernel tells it, whatever links lead there.
        string parent = System.IO.Path.GetDirectoryName(_final) ?? "/";
        using var opened = new DescriptorHandle(Files.Open(parent, OpenFlags.O_PATH | OpenFlags.O_DIRECTORY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of {parent}"));
        string real = Files.ReadLink($"/proc/self/fd/{opened.Number}").Target.TrimEnd('/');
        (_realPath, _realFinal) = ($"{real}/{System.IO.Path.GetFileName(Path)}", $"{real}/{System.IO.Path.GetFileName(_final)}");
    }

    /// <summary>The temporary directory.</summary>
    public string Path { get; }
    public long Length => _files.Sum(file => file.Length);

    /// <summary>The name that a path in the temporary directory, or that directory itself, will have; null for any other.</summary>
    public string? InPlace(string path) => path == _realPath || path.StartsWith(_realPath + "/", StringComparison.Ordinal) ? _realFinal + path[_realPath.Length..] : null;

    public void WriteJson<T>(string name, T value, JsonTypeInfo<T> type) => WriteBytes(name, JsonSerializer.SerializeToUtf8Bytes(value, type));

    public void WriteBytes(string name, ReadOnlySpan<byte> bytes)
    {
        using DescriptorHandle file = Create(name);
        Files.WriteAllAt(file.Number, bytes, 0).OrThrow($"write of {name}");
        _files.Add(new ImageFile(name, bytes.Length, ContentHash.Of(bytes)));
    }

    /// <summary>Copies the content of a descriptor of ours, holes left out.</summary>
    public void CopyFile(string name, int source, long length)
    {
        using DescriptorHandle file = Create(name);
        Files.Truncate(file.Number, length).OrThrow($"setting the size of {name}");
        var hash = new ContentHash();
        SparseCopy.Run(source, file.Number, length, hash);
        _files.Add(new ImageFile(name, length, hash.Finish()));
    }

    /// <summary>A file that somebody else writes (the pages); its hash is given afterwards by <see cref="Add"/>.</summary>
    public DescriptorHandle Create(string name)
    {
        string path = $"{Path}/{name}";
        string directory = System.IO.Path.GetDirectoryName(path)!;
        if (!_directories.Contains(directory))
        {
            Files.MakeDirectory(directory, 0x1C0).OrThrow($"creation of {directory}");
            _directories.Add(directory);
        }
        return new DescriptorHandle(Files.Open(path, OpenFlags.O_RDWR | OpenFlags.O_CREAT | OpenFlags.O_EXCL | OpenFlags.O_CLOEXEC, 0x180 /* 0600 */)
            .OrThrowDescriptor($"creation of {name}"));
    }

    public void Add(ImageFile file) => _files.Add(file);

    /// <summary>Writes the manifest, syncs everything, lets <paramref name="verify"/> read it all back, and renames the image into place.</summary>
    public void Commit(Manifest manifest, Action<string> verify)
    {
        WriteBytes("manifest.json", JsonSerializer.SerializeToUtf8Bytes(manifest with { Files = [.. _files] }, ManifestJson.Default.Manifest));
        WriteBytes("manifest.sum", System.Text.Encoding.ASCII.GetBytes(_files[^1].Hash + "\n"));
        verify(Path);
        // All are on their way before the first is waited for: a journaling file system then has one commit to wait for instead of one a file.
        List<(string Path, int Flags)> unsynced = [.. _files.Select(file => ($"{Path}/{file.Name}", 0)), .. _directories.Select(directory => (directory, OpenFlags.O_DIRECTORY))];
        foreach (ImageFile file in _files)
        {
            using var handle = new DescriptorHandle(Files.Open($"{Path}/{file.Name}", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of {file.Name}"));
            Files.BeginSync(handle.Number);
        }
        // Workers only where the rest still takes its time.
        int next = -1;
        for (long began = Stopwatch.GetTimestamp(); next + 1 < unsynced.Count && Stopwatch.GetElapsedTime(began) < s_nearlyNothing;) SyncPath(unsynced[++next].Path, unsynced[next].Flags);
        Workers.Run(Math.Min(MaxSyncs, unsynced.Count - next - 1), () =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < unsynced.Count;) SyncPath(unsynced[i].Path, unsynced[i].Flags);
        });
        Files.RenameNoReplace(Path, _final).OrThrow($"rename of the finished image to {_final}");
        _committed = true;
        SyncPath(System.IO.Path.GetDirectoryName(_final)!, OpenFlags.O_DIRECTORY);
    }

    private static void SyncPath(string path, int flags)
    {
        using var handle = new DescriptorHandle(Files.Open(path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC | flags).OrThrowDescriptor($"open of {path}"));
        Files.Sync(handle.Number).OrThrow($"fsync of {path}");
    }

    // What a killed checkpoint into the same directory began: its name ends with the id of a process that is gone.
    private void RemoveForgotten()
    {
        string parent = System.IO.Path.GetDirectoryName(_final) ?? "/", prefix = System.IO.Path.GetFileName(_final) + ".partial.";
        foreach (string name in Files.List(parent).Names)
        {
            if (!name.StartsWith(prefix, StringComparison.Ordinal) || !int.TryParse(name.AsSpan(prefix.Length), out int pid)) continue;
            if (pid != Environment.ProcessId && !Files.Status($"/proc/{pid}").Result.Failed) continue;
            Remove([$"{parent}/{name}", $"{parent}/{name}/content"]);
        }
    }

    public void Dispose()
    {
        if (!_committed) Remove(_directories);
    }

    // Directories are named from the outside in.
    private static void Remove(List<string> directories)
    {
        foreach (string directory in Enumerable.Reverse(directories))
        {
            foreach (string name in Files.List(directory).Names) Files.Unlink($"{directory}/{name}");
            Files.RemoveDirectory(directory);
        }
    }
}

/// <summary>Copies a file's data and leaves its holes out (lseek SEEK_DATA and SEEK_HOLE, man 2 lseek).</summary>
public static class SparseCopy
{
    private const int SEEK_DATA = 3, SEEK_HOLE = 4;

    /// <param name="hash">Gets every piece in order; may be null.</param>
    public static void Run(int source, int? target, long length, ContentHash? hash)
    {
        byte[] buffer = new byte[Math.Clamp(length, 1, 256 * 1024)];
        ulong hugePage = target is null ? 0 : HugePages.PageSizeOf(target.Value);
        for (long at = 0; at < length;)
        {
            SysResult data = Files.Seek(source, at, SEEK_DATA);
            if (data.Errno == Errno.ENXIO) return; // only a hole up to the end
            long start = data.Failed ? at : data.Value & ~(ContentHash.PageSize - 1L);
            SysResult hole = data.Failed ? data : Files.Seek(source, Math.Max(start, at), SEEK_HOLE);
            long end = hole.Failed ? length : Math.Min(length, (hole.Value + ContentHash.PageSize - 1) & ~(ContentHash.PageSize - 1L));
            for (at = Math.Max(start, at); at < end;)
            {
                int wanted = (int)Math.Min(buffer.Length, end - at);
                long got = ReadFull(source, buffer.AsSpan(0, wanted), at);
                if (got == 0) return;
                hash?.Add(at, buffer.AsSpan(0, (int)got));
                if (target is { } descriptor) (hugePage == 0 ? Files.WriteAllAt(descriptor, buffer.AsSpan(0, (int)got), at) : HugePages.WriteAllAt(descriptor, buffer.AsSpan(0, (int)got), at, hugePage)).OrThrow("write");
                at += got;
            }
        }
    }

    private static long ReadFull(int source, Span<byte> buffer, long offset)
    {
        int filled = 0;
        while (filled < buffer.Length)
        {
            long read = Files.ReadAt(source, buffer[filled..], offset + filled).OrThrow("read");
            if (read == 0) break;
            filled += (int)read;
        }
        return filled;
    }
}
