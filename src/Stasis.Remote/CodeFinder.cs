using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.Remote;

/// <summary>Finds a few bytes of code in the executable mappings of a process, and remembers where in which file they were.</summary>
public sealed class CodeFinder
{
    private const int MaxScan = 64 * 1024 * 1024;
    private readonly Dictionary<(uint, uint, ulong, string), ulong> _fileOffsets = [];
    private readonly byte[] _piece = new byte[64 * 1024];

    /// <summary>The address of the pattern in the process, or null when no executable mapping holds it.</summary>
    public ulong? Find(int pid, IReadOnlyList<ProcMapping> mappings, ReadOnlySpan<byte> pattern)
    {
        string key = Convert.ToHexString(pattern);
        Span<byte> probe = stackalloc byte[pattern.Length];
        foreach (ProcMapping mapping in Executable(mappings))
        {
            if (!_fileOffsets.TryGetValue((mapping.DeviceMajor, mapping.DeviceMinor, mapping.Inode, key), out ulong offset)) continue;
            if (offset < mapping.Offset || offset + (ulong)pattern.Length > mapping.Offset + mapping.Length) continue;
            ulong address = mapping.Start + (offset - mapping.Offset);
            if (!ProcessMemory.ReadExactly(pid, address, probe).Failed && probe.SequenceEqual(pattern)) return address;
        }
        foreach (ProcMapping mapping in Executable(mappings))
        {
            if (Scan(pid, mapping, pattern) is not { } address) continue;
            if (mapping.Inode != 0) _fileOffsets[(mapping.DeviceMajor, mapping.DeviceMinor, mapping.Inode, key)] = address - mapping.Start + mapping.Offset;
            return address;
        }
        return null;
    }

    // The small and the likely first: vdso, then the C library and the loader.
    private static IEnumerable<ProcMapping> Executable(IReadOnlyList<ProcMapping> mappings) =>
        mappings.Where(m => m.Protection.HasFlag(Protection.Execute) && m.Protection.HasFlag(Protection.Read) && m.Name != "[vsyscall]"
                && !m.Has("um") && !m.Has("ui")) // a page that is missing there is its program's affair: reading it would not return
            .OrderBy(m => m.Name == "[vdso]" ? 0 : m.Name.Contains("/libc", StringComparison.Ordinal) ? 1 : m.Name.Contains("/ld", StringComparison.Ordinal) ? 2 : 3)
            .ThenBy(m => m.Length);

    private ulong? Scan(int pid, ProcMapping mapping, ReadOnlySpan<byte> pattern)
    {
        ulong limit = Math.Min(mapping.End, mapping.Start + MaxScan);
        for (ulong at = mapping.Start; at < limit;)
        {
            int length = (int)Math.Min((ulong)_piece.Length, limit - at);
            SysResult read = ProcessMemory.Read(pid, at, _piece.AsSpan(0, length));
            if (read.Failed || read.Value < pattern.Length) return null;
            int index = _piece.AsSpan(0, (int)read.Value).IndexOf(pattern);
            if (index >= 0) return at + (ulong)index;
            at += (ulong)Math.Max(1, read.Value - pattern.Length + 1);
            if (limit - at < (ulong)pattern.Length) return null;
        }
        return null;
    }
}
