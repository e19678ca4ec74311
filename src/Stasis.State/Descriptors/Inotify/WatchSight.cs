using System.Globalization;
using System.Text;
using Stasis.Image;
using Stasis.Linux;

namespace Stasis.State.Descriptors.Inotify;

/// <summary>
/// What can be seen from outside of the watched files and directories, as a hash: taken at the checkpoint and at the restart, it
/// tells whether anything happened in between of which the program would have been told. What was only read leaves no trace.
/// </summary>
internal static class WatchSight
{
    private const int MaxSeen = 50_000;
    private const uint OfContent = Linux.Inotify.IN_MODIFY | Linux.Inotify.IN_ATTRIB | Linux.Inotify.IN_CLOSE_WRITE, OfReading = Linux.Inotify.IN_ACCESS | Linux.Inotify.IN_OPEN | Linux.Inotify.IN_CLOSE_NOWRITE;

    /// <summary>The directories whose listing would itself be told of to a program of the tree: they, or those that hold them, are watched for reading.</summary>
    public static HashSet<string> Heard(IEnumerable<(uint Mask, string Path)> watches) => [.. watches.Where(watch => (watch.Mask & OfReading) != 0).Select(watch => watch.Path)];

    public static bool MayList(string path, HashSet<string> heard) => heard.Count == 0 || !heard.Contains(path) && !heard.Contains(System.IO.Path.GetDirectoryName(path) ?? "/");

    /// <summary>Empty when there is too much to look at, or no way to look.</summary>
    public static string Of(IEnumerable<InotifyWatch> watches)
    {
        var words = new StringBuilder();
        int seen = 0;
        // A file without a name is another inode after the restart, and nobody but the tree can have changed it meanwhile.
        foreach (InotifyWatch watch in watches.Where(watch => watch.Description == 0))
        {
            if (++seen > MaxSeen) return "";
            (SysResult result, FileStatus status) = Files.Status(watch.Path, followLinks: false);
            bool content = (watch.Mask & OfContent) != 0;
            if (result.Failed) words.Append(watch.Path).Append(" gone\n");
            else if (status.Type != FileType.Directory) Add(words, watch.Path, status, content);
            else if (!watch.Listed)
            {
                if (content) return "";
                words.Append(CultureInfo.InvariantCulture, $"{watch.Path} {status.Identity} {status.ModifiedNanoseconds}\n");
            }
            else
            {
                // Its own times are not looked at: a file that came and went left nothing to look at again.
                words.Append(CultureInfo.InvariantCulture, $"{watch.Path} {status.Identity} {status.Permissions} {status.Uid} {status.Gid}\n");
                foreach (string name in Files.List(watch.Path).Names.Order(StringComparer.Ordinal))
                {
                    if (++seen > MaxSeen) return "";
                    Add(words, name, Files.Status($"{watch.Path}/{name}", followLinks: false).Status, content);
                }
            }
        }
        return ContentHash.Of(Encoding.UTF8.GetBytes(words.ToString()));
    }

    private static void Add(StringBuilder words, string name, FileStatus status, bool content)
    {
        words.Append(CultureInfo.InvariantCulture, $"{name} {status.Identity}");
        if (content && status.Type != FileType.Directory) words.Append(CultureInfo.InvariantCulture, $" {status.Size} {status.ModifiedNanoseconds} {status.ChangedNanoseconds}");
        words.Append('\n');
    }
}
