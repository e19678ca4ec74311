using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors.UserFaultFd;

/// <summary>
/// Memory whose faults a userfaultfd handles. Nobody may touch a missing page of it but its program: whoever does waits until the program's
/// handler has answered, which a frozen one never does.
/// </summary>
public static class WatchedMemory
{
    public const int UFFDIO_REGISTER_MODE_MISSING = 1, UFFDIO_REGISTER_MODE_WP = 2; // include/uapi/linux/userfaultfd.h

    public static bool Is(ProcMapping mapping) => mapping.Has("um") || mapping.Has("uw") || mapping.Has("ui");
    public static int ModesOf(ProcMapping mapping) => (mapping.Has("um") ? UFFDIO_REGISTER_MODE_MISSING : 0) | (mapping.Has("uw") ? UFFDIO_REGISTER_MODE_WP : 0);

    public static void Examine(ProcessSurvey process, ProblemList problems)
    {
        bool any = false;
        foreach (ProcMapping mapping in process.Mappings.Where(Is))
        {
            any = true;
            if (Refusal(mapping) is { } why) problems.Add(process.Pid, process.Command, $"mapping {mapping.Description}", why, "start the program without user-space paging");
        }
        if (!any) return;
        foreach (int tid in process.Tids.Where(tid => WaitsInCall(process.Pid, tid)))
            problems.AddPassing(process.Pid, process.Command, $"thread {tid}", Why, Advice);
    }

    private static string? Refusal(ProcMapping mapping) =>
        mapping.Has("ui") || mapping.Shared || mapping.Inode != 0 || mapping.PageSize != PageScan.PageSize ? "shared memory, a file or huge pages watched by a userfaultfd are not carried yet"
        : mapping.Has("um") && mapping.Has("lo") ? "locked memory whose missing pages a userfaultfd brings is not carried yet"
        : mapping.Has("sl") ? "sealed memory watched by a userfaultfd is not carried yet"
        : null;

    public const string Why = "waits inside a system call for a page that a userfaultfd's handler is to bring";
    public const string Advice = "try again when the handler has answered";

    /// <summary>A fault outside of a system call ends with the stop and comes again; one inside of a call does not let the task stop.</summary>
    private static bool WaitsInCall(int pid, int tid)
    {
        if (Files.ReadText($"/proc/{pid}/task/{tid}/wchan").Text.Trim() != "handle_userfault") return false;
        string call = Files.ReadText($"/proc/{pid}/task/{tid}/syscall").Text;
        return call.Length > 0 && char.IsAsciiDigit(call[0]);
    }

    /// <summary>Whether a task that does not stop may be in such a fault: told to stop, it tries again and again.</summary>
    public static bool MayHoldUp(int pid) => ProcMaps.Read(pid).Mappings.Any(Is);
}
