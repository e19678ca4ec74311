using System.Globalization;
using System.Text;

namespace Stasis.Linux.Proc;

/// <summary>Protection bits of mmap(2).</summary>
[Flags]
public enum Protection { None = 0, Read = 1, Write = 2, Execute = 4 }

/// <summary>One mapping: a line of /proc/PID/maps with the VmFlags of /proc/PID/smaps (man 5 proc_pid_maps, proc_pid_smaps).</summary>
public sealed record ProcMapping(
    ulong Start, ulong End, Protection Protection, bool Shared, ulong Offset, uint DeviceMajor, uint DeviceMinor, ulong Inode, string Name, IReadOnlyList<string> Flags)
{
    /// <summary>The size of its pages: more than 4096 for huge pages of hugetlbfs (transparent ones do not count here).</summary>
    public ulong PageSize { get; init; } = 4096;

    /// <summary>Its memory protection key (man 7 pkeys); 0 also where the CPU has none.</summary>
    public int Key { get; init; }
    public ulong Length => End - Start;
    public bool Has(string flag) => Flags.Contains(flag);
    public string Range => $"{Start:x}-{End:x}";
    public string Description => Name.Length > 0 ? $"{Range} {Name}" : Range;
}

public static class ProcMaps
{
    /// <summary>Mappings in order of address with their VmFlags. Errors: ENOENT or ESRCH when the process is gone, EACCES without ptrace rights.</summary>
    public static (SysResult Result, List<ProcMapping> Mappings) Read(int pid)
    {
        List<ProcMapping> mappings = [];
        // Line by line: the text of 50,000 mappings is 35 MB.
        SysResult read = Files.ReadLines($"/proc/{pid}/smaps", line => AddLine(mappings, line));
        return (read, mappings);
    }

    public static List<ProcMapping> Parse(string text)
    {
        List<ProcMapping> mappings = [];
        foreach (string line in text.Split('\n')) AddLine(mappings, Encoding.UTF8.GetBytes(line));
        return mappings;
    }

    // Of the lines of smaps four kinds matter: the mapping's own, which starts with a small hex digit, the size of its pages, its protection key, and its VmFlags.
    private static void AddLine(List<ProcMapping> mappings, ReadOnlySpan<byte> line)
    {
        if (line.StartsWith("VmFlags:"u8))
        {
            if (mappings.Count > 0) mappings[^1] = mappings[^1] with { Flags = SplitFlags(Encoding.UTF8.GetString(line["VmFlags:"u8.Length..])) };
        }
        else if (line.StartsWith("KernelPageSize:"u8))
        {
            ReadOnlySpan<byte> kilobytes = line["KernelPageSize:"u8.Length..].TrimStart((byte)' ');
            if (mappings.Count > 0 && System.Buffers.Text.Utf8Parser.TryParse(kilobytes, out ulong size, out _) && size > 4 && size < ulong.MaxValue / 1024) mappings[^1] = mappings[^1] with { PageSize = size * 1024 };
        }
        else if (line.StartsWith("ProtectionKey:"u8))
        {
            if (mappings.Count > 0 && System.Buffers.Text.Utf8Parser.TryParse(line["ProtectionKey:"u8.Length..].TrimStart((byte)' '), out int key, out _) && key != 0) mappings[^1] = mappings[^1] with { Key = key };
        }
        else if (line.Length > 0 && line[0] is (>= (byte)'0' and <= (byte)'9') or (>= (byte)'a' and <= (byte)'f') && ParseLine(Encoding.UTF8.GetString(line)) is { } mapping)
        {
            mappings.Add(mapping);
        }
    }

    private static readonly Dictionary<string, string[]> s_flagSets = new(StringComparer.Ordinal);

    // Most mappings of a process have one of a few sets of flags: share the arrays.
    private static string[] SplitFlags(ReadOnlySpan<char> text)
    {
        string key = text.Trim().ToString();
        lock (s_flagSets)
        {
            if (!s_flagSets.TryGetValue(key, out string[]? flags)) s_flagSets[key] = flags = key.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return flags;
        }
    }

    private static ProcMapping? ParseLine(ReadOnlySpan<char> line)
    {
        Span<Range> parts = stackalloc Range[6];
        int dash = line.IndexOf('-');
        int space = line.IndexOf(' ');
        if (dash < 0 || space < dash) return null;
        ReadOnlySpan<char> startText = line[..dash], endText = line[(dash + 1)..space], rest = line[(space + 1)..];
        if (rest.Length < 5 || !Hex(startText, out ulong start) || !Hex(endText, out ulong end) || end <= start) return null;
        Protection protection = (rest[0] == 'r' ? Protection.Read : 0) | (rest[1] == 'w' ? Protection.Write : 0) | (rest[2] == 'x' ? Protection.Execute : 0);
        bool shared = rest[3] == 's';
        rest = rest[5..];
        space = rest.IndexOf(' ');
        if (space < 0 || !Hex(rest[..space], out ulong offset)) return null;
        rest = rest[(space + 1)..];
        int colon = rest.IndexOf(':');
        space = rest.IndexOf(' ');
        if (colon < 0 || space < colon) return null;
        if (!uint.TryParse(rest[..colon], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out uint major)) return null;
        if (!uint.TryParse(rest[(colon + 1)..space], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out uint minor)) return null;
        rest = rest[(space + 1)..];
        space = rest.IndexOf(' ');
        ReadOnlySpan<char> inodeText = space < 0 ? rest : rest[..space];
        if (!ulong.TryParse(inodeText, CultureInfo.InvariantCulture, out ulong inode)) return null;
        string name = space < 0 ? "" : Unescape(rest[space..].TrimStart(' ').ToString());
        return new ProcMapping(start, end, protection, shared, offset, major, minor, inode, name, []);
    }

    private static bool Hex(ReadOnlySpan<char> text, out ulong value) => ulong.TryParse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out value);

    // seq_path escapes a newline in a name as \012 (man 5 proc_pid_maps).
    private static string Unescape(string name) => name.Replace("\\012", "\n", StringComparison.Ordinal);
}
