using System.Buffers.Binary;
using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Descriptors;

/// <summary>A "lock:" line of fdinfo, e.g. "1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 EOF" (man 5 proc_locks). End is -1 for EOF.</summary>
public sealed record FileLock(string Kind, bool Write, int Pid, long Start, long End)
{
    public static IEnumerable<FileLock> Of(ProcFdInfo information)
    {
        foreach (string line in information.All("lock"))
        {
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length < 8 || fields[1] == "->") continue; // "->" is one who waits: its call starts again
            _ = int.TryParse(fields[4], CultureInfo.InvariantCulture, out int pid);
            long end = -1;
            if (!long.TryParse(fields[6], CultureInfo.InvariantCulture, out long start)) continue;
            if (fields[7] != "EOF" && !long.TryParse(fields[7], CultureInfo.InvariantCulture, out end)) continue;
            yield return new FileLock(fields[1], fields[3] == "WRITE", pid, start, end);
        }
    }

    /// <summary>Whether there can be such a range; the length of what is larger has no number.</summary>
    public static bool IsRange(long start, long end) => start >= 0 && (end == -1 || end >= start && end - start < long.MaxValue);

    /// <summary>struct flock for fcntl: l_type 2, l_whence 2, pad 4, l_start 8, l_len 8, l_pid 4.</summary>
    public static byte[] Bytes(bool write, long start, long end)
    {
        byte[] flock = new byte[32];
        BinaryPrimitives.WriteInt16LittleEndian(flock, (short)(write ? 1 : 0)); // F_WRLCK, F_RDLCK
        BinaryPrimitives.WriteInt64LittleEndian(flock.AsSpan(8), start);
        BinaryPrimitives.WriteInt64LittleEndian(flock.AsSpan(16), end < 0 ? 0 : end - start + 1);
        return flock;
    }

    public static SysResult Set(int descriptor, int command, byte[] flock) => Files.Control(descriptor, command, flock);
}
