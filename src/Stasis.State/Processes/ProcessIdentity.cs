using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Processes;

/// <summary>By what a process outside the tree is known again, together with its id: start time in clock ticks since boot, and which boot.</summary>
public readonly record struct ProcessIdentity(ulong StartTime, string BootId)
{
    /// <summary>null when there is no such process.</summary>
    public static ProcessIdentity? Of(int pid) =>
        ProcStat.Read(pid) is { } stat ? new ProcessIdentity(stat.StartTimeTicks, Files.ReadText("/proc/sys/kernel/random/boot_id").Text.Trim()) : null;
}
