using System.Globalization;
using Stasis.Linux.Proc;

namespace Stasis.State.Descriptors.Inotify;

/// <summary>An "inotify" line of an instance's fdinfo (man 5 proc_pid_fdinfo). Device and inode are the kernel's own, which statx may tell otherwise.</summary>
internal sealed record InotifyLine(int Number, ulong Inode, uint DeviceMajor, uint DeviceMinor, uint Mask, int HandleType, byte[] Handle)
{
    public (uint, uint, ulong) Identity => (DeviceMajor, DeviceMinor, Inode);

    public static List<InotifyLine> Of(ProcFdInfo information)
    {
        List<InotifyLine> lines = [];
        foreach (string line in information.Lines)
            if (line.StartsWith("inotify ", StringComparison.Ordinal) && Parse(line) is { } parsed) lines.Add(parsed);
        return lines;
    }

    // inotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:7e9e0000640d1b6d
    // Everything is in hexadecimal, the number of the watch too (seen: number 30 shows as 1e).
    internal static InotifyLine? Parse(string line)
    {
        Dictionary<string, string> fields = [];
        foreach (string word in line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            if (word.IndexOf(':') is var colon and > 0) fields[word[..colon]] = word[(colon + 1)..];
        if (!Hex(fields, "wd", out ulong number) || !Hex(fields, "ino", out ulong inode) || !Hex(fields, "sdev", out ulong device) || !Hex(fields, "mask", out ulong mask)) return null;
        if (number is 0 or > int.MaxValue || device > uint.MaxValue || mask > uint.MaxValue) return null;
        Hex(fields, "fhandle-type", out ulong type);
        byte[] handle = [];
        if (fields.TryGetValue("f_handle", out string? digits) && digits.Length is > 0 and <= 256 && digits.Length % 2 == 0)
        {
            try { handle = Convert.FromHexString(digits); }
            catch (FormatException) { return null; }
        }
        // The kernel's own packing: 12 bits of major, 20 of minor (include/linux/kdev_t.h).
        return new InotifyLine((int)number, inode, (uint)device >> 20, (uint)device & 0xfffff, (uint)mask, (int)Math.Min(type, int.MaxValue), handle);
    }

    private static bool Hex(Dictionary<string, string> fields, string name, out ulong value)
    {
        value = 0;
        return fields.TryGetValue(name, out string? text) && ulong.TryParse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out value);
    }
}
