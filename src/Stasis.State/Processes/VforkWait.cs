using System.Globalization;
using Stasis.Linux;

namespace Stasis.State.Processes;

/// <summary>
/// A task inside vfork (also posix_spawn, and clone with CLONE_VFORK): it can't be stopped before its child, which borrows its memory, has
/// ended or executed a program. Nearly always that is a matter of microseconds, so it is waited for.
/// </summary>
public static class VforkWait
{
    /// <summary>How long a checkpoint waits for that. A child that takes longer is up to something of its own.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    public const string Why = "waits inside vfork for a child that neither ends nor executes a program";
    public const string Advice = "try again when that child has gone on";

    /// <summary>Whether the task waits in such a call now (man 5 proc_pid_syscall: number and arguments of the call a task is blocked in).</summary>
    public static bool Is(int pid, int tid)
    {
        const ulong CLONE_VFORK = 0x4000;
        string[] fields = Files.ReadText($"/proc/{pid}/task/{tid}/syscall").Text.Split(' ');
        if (fields.Length < 2 || !int.TryParse(fields[0], CultureInfo.InvariantCulture, out int number)) return false;
        if (!ulong.TryParse(fields[1].AsSpan(fields[1].StartsWith("0x", StringComparison.Ordinal) ? 2 : 0), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong first)) return false;
        switch ((Syscall)number)
        {
            case Syscall.vfork: return true;
            case Syscall.clone: return (first & CLONE_VFORK) != 0;
            case Syscall.clone3:
                byte[] flags = new byte[8]; // the first field of struct clone_args
                return !ProcessMemory.ReadExactly(tid, first, flags).Failed && (BitConverter.ToUInt64(flags) & CLONE_VFORK) != 0;
            default: return false;
        }
    }
}
