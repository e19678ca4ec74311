using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Descriptors.MessageQueue;

/// <summary>Which processes have a queue open.</summary>
internal static class QueueUsers
{
    /// <summary>The first one that is not to be passed over; 0 when there is none.</summary>
    /// <param name="names">The queues by the name that /proc/PID/fd shows, each with its identity.</param>
    public static List<((uint, uint, ulong) Queue, int Pid, string Command)> Outside(IReadOnlyList<(string Link, (uint, uint, ulong) Identity)> names, Func<int, bool> isPassedOver)
    {
        List<((uint, uint, ulong), int, string)> users = [];
        HashSet<string> lastWords = [.. names.Select(name => LastWord(name.Link))];
        foreach (string entry in Files.List("/proc").Names)
        {
            if (!int.TryParse(entry, out int pid) || isPassedOver(pid)) continue;
            foreach (string number in Files.List($"/proc/{pid}/fd").Names)
            {
                string path = $"/proc/{pid}/fd/{number}";
                if (!lastWords.Contains(LastWord(Files.ReadLink(path).Target))) continue;
                if (Files.Status(path) is { Result.Failed: false } found && names.Any(name => name.Identity == found.Status.Identity)) users.Add((found.Status.Identity, pid, ProcStat.Read(pid)?.Comm ?? ""));
            }
        }
        return users;
    }

    // The same queue may be open through a mount of the file system, and then has another path.
    private static string LastWord(string link) => link[(link.LastIndexOf('/') + 1)..];
}
