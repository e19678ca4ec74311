using System.Runtime.InteropServices;
using System.Text;

namespace Stasis.TestRunner;

/// <summary>The processes that a test started, from outside of their cage: a process and all its descendants.</summary>
internal static partial class Processes
{
    private const int SIGKILL = 9;

    /// <summary>What each of them is doing, and what it waits for: for the log of a test that hangs. Bounded to 100 lines.</summary>
    public static string Describe(int root)
    {
        StringBuilder text = new();
        foreach (int pid in Tree(root).Take(60))
        {
            text.AppendLine($"  {pid} {Read(pid, "stat")}");
            text.AppendLine($"      {Read(pid, "cmdline")?.Replace('\0', ' ')}");
            text.AppendLine($"      wchan {Read(pid, "wchan")}, syscall {Read(pid, "syscall")}");
            foreach (string line in Read(pid, "stack")?.Split('\n').Take(4) ?? [])
                text.AppendLine($"      {line}");
        }

        return string.Join('\n', text.ToString().Split('\n').Where(line => line.Trim().Length > 0).Take(150));
    }

    /// <summary>SIGKILL to all of them, the root first. Children that their parents' death ends are gone by then, which is no error.</summary>
    public static void KillTree(int root)
    {
        int[] all = [.. Tree(root)];
        foreach (int pid in all)
            _ = kill(pid, SIGKILL);
    }

    private static IEnumerable<int> Tree(int root)
    {
        Dictionary<int, List<int>> children = [];
        foreach (string directory in Directory.GetDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(directory), out int pid))
                continue;
            // The name in stat(5) may have any character; behind its last bracket are the state and the parent. It may end while we look.
            if (Read(pid, "stat") is not string stat || stat.LastIndexOf(')') is not (> 0 and int name))
                continue;
            int parent = int.Parse(stat[(name + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]);
            if (!children.TryGetValue(parent, out List<int>? list))
                children[parent] = list = [];
            list.Add(pid);
        }

        Queue<int> waiting = new([root]);
        while (waiting.TryDequeue(out int pid))
        {
            yield return pid;
            foreach (int child in children.GetValueOrDefault(pid) ?? [])
                waiting.Enqueue(child);
        }
    }

    private static string? Read(int pid, string file)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/{file}").TrimEnd();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);
}
