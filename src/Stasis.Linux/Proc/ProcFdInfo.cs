using System.Globalization;

namespace Stasis.Linux.Proc;

/// <summary>/proc/PID/fdinfo/N (man 5 proc_pid_fdinfo): position, flags (octal) and the lines special to the kind of file.</summary>
public sealed record ProcFdInfo(long Position, int Flags, int MountId, IReadOnlyList<string> Lines)
{
    public static (SysResult Result, ProcFdInfo? Information) Read(int pid, int descriptor)
    {
        (SysResult result, string text) = Files.ReadText($"/proc/{pid}/fdinfo/{descriptor}");
        return (result, result.Failed ? null : Parse(text));
    }

    public static ProcFdInfo Parse(string text)
    {
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var information = new ProcFdInfo(0, 0, 0, lines);
        string flags = information.Field("flags");
        int flagValue = 0;
        foreach (char digit in flags) if (digit is >= '0' and <= '7') flagValue = flagValue * 8 + (digit - '0');
        _ = long.TryParse(information.Field("pos"), CultureInfo.InvariantCulture, out long position);
        _ = int.TryParse(information.Field("mnt_id"), CultureInfo.InvariantCulture, out int mount);
        return information with { Position = position, Flags = flagValue, MountId = mount };
    }

    /// <summary>The text behind "name:", trimmed; empty when there is no such line.</summary>
    public string Field(string name)
    {
        foreach (string line in Lines)
            if (line.StartsWith(name, StringComparison.Ordinal) && line.Length > name.Length && line[name.Length] == ':') return line[(name.Length + 1)..].Trim();
        return "";
    }

    public ulong Hex(string name) => ulong.TryParse(Field(name), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong value) ? value : 0;
    public long Decimal(string name) => long.TryParse(Field(name), CultureInfo.InvariantCulture, out long value) ? value : 0;
    public IEnumerable<string> All(string name) => Lines.Where(line => line.StartsWith(name + ":", StringComparison.Ordinal)).Select(line => line[(name.Length + 1)..].Trim());
}
