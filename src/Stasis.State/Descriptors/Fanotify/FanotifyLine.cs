using System.Globalization;
using Stasis.Linux.Proc;
using Stasis.State.Descriptors.Inotify;

namespace Stasis.State.Descriptors.Fanotify;

/// <summary>A mark's line of a group's fdinfo (man 5 proc_pid_fdinfo). All numbers are hexadecimal.</summary>
/// <param name="Mount">The mount's id, of a mark of one; else -1.</param>
/// <param name="File">Of a mark of a file or directory: where to look for it; else null.</param>
/// <param name="Device">Of a mark of a file system.</param>
internal sealed record FanotifyLine(FanotifyMarkKind Kind, int Mount, InotifyLine? File, (uint Major, uint Minor) Device, uint Flags, uint Mask, uint Ignored)
{
    /// <summary>The group's own line, "fanotify flags:10 event-flags:8000".</summary>
    public static (uint Flags, uint EventFlags)? Group(ProcFdInfo information)
    {
        foreach (string line in information.Lines)
            if (line.StartsWith("fanotify flags:", StringComparison.Ordinal) && Fields(line) is var fields && Hex(fields, "flags", out uint flags) && Hex(fields, "event-flags", out uint eventFlags)) return (flags, eventFlags);
        return null;
    }

    /// <summary>null when a line is of a kind that is not known.</summary>
    public static List<FanotifyLine>? Of(ProcFdInfo information)
    {
        List<FanotifyLine> lines = [];
        foreach (string line in information.Lines)
        {
            if (!line.StartsWith("fanotify ", StringComparison.Ordinal) || line.StartsWith("fanotify flags:", StringComparison.Ordinal)) continue;
            if (Parse(line) is not { } parsed) return null;
            lines.Add(parsed);
        }
        return lines;
    }

    internal static FanotifyLine? Parse(string line)
    {
        Dictionary<string, string> fields = Fields(line);
        if (!Hex(fields, "mflags", out uint flags) || !Hex(fields, "mask", out uint mask) || !Hex(fields, "ignored_mask", out uint ignored)) return null;
        if (Hex(fields, "mnt_id", out uint mount)) return mount > int.MaxValue ? null : new FanotifyLine(FanotifyMarkKind.Mount, (int)mount, null, default, flags, mask, ignored);
        if (!Hex(fields, "sdev", out uint device)) return null;
        // The kernel's own packing: 12 bits of major, 20 of minor (include/linux/kdev_t.h).
        if (!fields.ContainsKey("ino")) return new FanotifyLine(FanotifyMarkKind.FileSystem, -1, null, (device >> 20, device & 0xfffff), flags, mask, ignored);
        // The rest of the line is as inotify's.
        return InotifyLine.Parse(line.Replace("fanotify ", "inotify wd:1 ", StringComparison.Ordinal)) is { } file ? new FanotifyLine(FanotifyMarkKind.File, -1, file, (device >> 20, device & 0xfffff), flags, mask, ignored) : null;
    }

    private static Dictionary<string, string> Fields(string line)
    {
        Dictionary<string, string> fields = [];
        foreach (string word in line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            if (word.IndexOf(':') is var colon and > 0) fields[word[..colon]] = word[(colon + 1)..];
        return fields;
    }

    private static bool Hex(Dictionary<string, string> fields, string name, out uint value)
    {
        value = 0;
        return fields.TryGetValue(name, out string? text) && uint.TryParse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out value);
    }
}
