using System.Globalization;

namespace Stasis.Linux.Proc;

/// <summary>/proc/PID/stat (man 5 proc_pid_stat), the fields a checkpoint needs. Addresses are zero without the right to see them.</summary>
public sealed record ProcStat(
    int Pid, string Comm, char State, int ParentPid, int ProcessGroup, int Session, int TtyNumber, int ForegroundGroup,
    int Nice, int ThreadCount, ulong StartTimeTicks, int ExitSignal, ulong StartCode, ulong EndCode, ulong StartStack,
    ulong StartData, ulong EndData, ulong StartBrk, ulong ArgStart, ulong ArgEnd, ulong EnvStart, ulong EnvEnd, int ExitCode, uint Flags)
{
    public static ProcStat? Read(int pid) => Parse(Files.ReadText($"/proc/{pid}/stat").Text);
    public static ProcStat? ReadTask(int pid, int tid) => Parse(Files.ReadText($"/proc/{pid}/task/{tid}/stat").Text);

    /// <summary>null when the text is not a stat line. The comm may hold spaces and parentheses: it ends at the last ')'.</summary>
    public static ProcStat? Parse(string text)
    {
        int open = text.IndexOf('('), close = text.LastIndexOf(')');
        if (open < 1 || close < open || close + 2 > text.Length) return null;
        string[] fields = text[(close + 2)..].TrimEnd('\n').Split(' ');
        if (fields.Length < 50) return null;
        if (!int.TryParse(text.AsSpan(0, open - 1), CultureInfo.InvariantCulture, out int pid)) return null;
        int Int(int number) => int.TryParse(fields[number - 3], CultureInfo.InvariantCulture, out int value) ? value : 0;
        ulong Long(int number) => ulong.TryParse(fields[number - 3], CultureInfo.InvariantCulture, out ulong value) ? value : 0;
        return new ProcStat(pid, text[(open + 1)..close], fields[0].Length > 0 ? fields[0][0] : '?', Int(4), Int(5), Int(6), Int(7), Int(8),
            Int(19), Int(20), Long(22), Int(38), Long(26), Long(27), Long(28), Long(45), Long(46), Long(47), Long(48), Long(49), Long(50), Long(51), Int(52), (uint)Long(9));
    }
}
