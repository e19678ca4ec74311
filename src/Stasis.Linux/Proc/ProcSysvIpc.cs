using System.Globalization;

namespace Stasis.Linux.Proc;

/// <summary>A line of /proc/sysvipc/{shm,sem,msg} (man 5 proc_sysvipc). Ids of processes are those of the reader's pid namespace, 0 where it has none.</summary>
public sealed record SysvIpcLine(IReadOnlyDictionary<string, long> Fields)
{
    /// <summary>0 for a field that this kernel does not tell.</summary>
    public long this[string field] => Fields.TryGetValue(field, out long value) ? value : 0;
    public int Key => (int)this["key"];
    public int Mode => (int)this["perms"];
    public uint Uid => (uint)this["uid"];
    public uint Gid => (uint)this["gid"];
    public uint CreatorUid => (uint)this["cuid"];
    public uint CreatorGid => (uint)this["cgid"];
}

/// <summary>The objects of System V IPC in the calling thread's ipc namespace.</summary>
public static class ProcSysvIpc
{
    /// <param name="table">"shm", "sem" or "msg". Nothing where the kernel has none.</param>
    public static List<SysvIpcLine> Read(string table) => Parse(Files.ReadText($"/proc/sysvipc/{table}").Text);

    public static List<SysvIpcLine> Parse(string text)
    {
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        List<SysvIpcLine> objects = [];
        if (lines.Length == 0) return objects;
        string[] names = Words(lines[0]);
        foreach (string line in lines.Skip(1))
        {
            string[] values = Words(line);
            Dictionary<string, long> fields = [];
            for (int i = 0; i < Math.Min(names.Length, values.Length); i++) fields[names[i]] = Number(names[i], values[i]);
            objects.Add(new SysvIpcLine(fields));
        }
        return objects;
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static long Number(string name, string value)
    {
        if (name == "perms")
        {
            try
            {
                return Convert.ToInt64(value, 8);
            }
            catch (Exception error) when (error is FormatException or OverflowException or ArgumentException) { return 0; }
        }
        // Sizes may be any 64-bit number: one above 2^63 has no bytes behind it.
        return long.TryParse(value, CultureInfo.InvariantCulture, out long number) ? number : long.MaxValue;
    }
}
