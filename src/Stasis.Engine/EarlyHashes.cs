using System.Collections.Concurrent;
using Stasis.Linux;
using Stasis.State.Memory;
using Stasis.State.Processes;

namespace Stasis.Engine;

/// <summary>
/// The hashes of files that a tree maps, taken by a worker while the checkpoint looks, freezes and captures: for a small program they
/// were a quarter of its time. A file that has changed since is hashed again.
/// </summary>
internal sealed class EarlyHashes
{
    private const long MaxHashed = 256 * 1024 * 1024;
    private readonly ConcurrentDictionary<string, (FileStatus Status, string Hash)> _hashes = new();
    private readonly Thread _worker;
    private volatile bool _enough;

    public EarlyHashes(TreeSurvey tree)
    {
        List<string> paths = [.. tree.Processes.SelectMany(process => process.Mappings).Where(mapping => mapping.Inode != 0 && mapping.Name.StartsWith('/')).Select(mapping => mapping.Name).Distinct()];
        _worker = new Thread(() => Run(paths)) { IsBackground = true, Name = "hashes" };
        _worker.Start();
    }

    private void Run(List<string> paths)
    {
        foreach (string path in paths)
        {
            if (_enough) return;
            (SysResult result, FileStatus status) = Files.Status(path);
            if (result.Failed || status.Type != FileType.Regular || status.Size is 0 or > MaxHashed) continue;
            string hash = FileContent.Hash(path);
            if (hash.Length > 0) _hashes[path] = (status, hash);
        }
    }

    /// <summary>The hash of a file as its record has it; empty where it is too large, or not that file any more.</summary>
    public string Of(ObjectRecord file)
    {
        if (file.Size is 0 or > MaxHashed || FileChange.Of(file).Any) return "";
        if (_hashes.TryGetValue(file.Path, out (FileStatus Status, string Hash) early)
            && early.Status.Size == file.Size && early.Status.ModifiedNanoseconds == file.ModifiedNanoseconds && early.Status.Inode == file.Inode) return early.Hash;
        return FileContent.Hash(file.Path);
    }

    /// <summary>No more are asked for ahead; what is under way is waited for.</summary>
    public void Finish()
    {
        _enough = true;
        _worker.Join();
    }
}
