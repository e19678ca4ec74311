using System.Globalization;

namespace Stasis.Linux.Proc;

/// <summary>/proc/PID/status (man 5 proc_pid_status), of which a field is looked for when it is asked for: few are, and there are over fifty.</summary>
public sealed class ProcStatus
{
    private readonly string _text;

    private ProcStatus(string text) => _text = text;

    public static ProcStatus? Read(string taskDirectory)
    {
        (SysResult result, string text) = Files.ReadText($"{taskDirectory}/status");
        return result.Failed ? null : Parse(text);
    }

    public static ProcStatus Parse(string text) => new(text);

    public string Text(string field)
    {
        if (field.Length == 0) return "";
        for (int at = 0; at < _text.Length;)
        {
            int end = _text.IndexOf('\n', at);
            if (end < 0) end = _text.Length;
            ReadOnlySpan<char> line = _text.AsSpan(at, end - at);
            if (line.StartsWith(field, StringComparison.Ordinal) && line.Length > field.Length && line[field.Length] == ':') return line[(field.Length + 1)..].Trim().ToString();
            at = end + 1;
        }
        return "";
    }

    public ulong Hex(string field) => ulong.TryParse(Text(field), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong value) ? value : 0;
    public int Number(string field) => int.TryParse(Text(field).Split('\t', ' ')[0], CultureInfo.InvariantCulture, out int value) ? value : 0;
    public int Octal(string field) { try { return Convert.ToInt32(Text(field), 8); } catch (Exception e) when (e is FormatException or OverflowException or ArgumentException) { return 0; } }

    /// <summary>Signals that do nothing to it. One that is traced gets them all the same (kernel/signal.c, sig_ignored): they wait for it, or stop it for its tracer.</summary>
    public ulong IgnoredSignals => Hex("SigIgn") | Signals.IgnoredByDefault & ~Hex("SigCgt");

    public uint[] Numbers(string field) =>
        [.. Text(field).Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries).Select(part => uint.TryParse(part, CultureInfo.InvariantCulture, out uint value) ? value : 0)];
}
