using System.Globalization;
using Stasis.Linux;

namespace Stasis.State.Processes;

/// <summary>The scheduling group that every session has with CONFIG_SCHED_AUTOGROUP (man 7 sched): setsid makes a new one, with nice value 0.</summary>
public static class Autogroup
{
    /// <summary>0 where there are no such groups. The file reads "/autogroup-10428 nice 0".</summary>
    public static int Nice(int pid)
    {
        string text = Files.ReadText($"/proc/{pid}/autogroup").Text;
        int at = text.IndexOf(" nice ", StringComparison.Ordinal);
        return at >= 0 && int.TryParse(text.AsSpan(at + 6).Trim(), CultureInfo.InvariantCulture, out int nice) ? nice : 0;
    }

    /// <summary>It decides about shares of CPU time between sessions only, so a host without such groups is no reason to fail.</summary>
    public static void SetNice(int pid, int nice)
    {
        SysResult written = Files.WriteText($"/proc/{pid}/autogroup", nice.ToString(CultureInfo.InvariantCulture));
        if (written.Errno != Errno.ENOENT) written.OrThrow($"write of autogroup nice {nice}", $"process {pid}");
    }
}
