using Stasis.Linux;

namespace Stasis.State.Processes;

/// <summary>Settings of a process that show from outside and are not carried: each is refused by name.</summary>
internal static class UncarriedSettings
{
    private const string NoTags = "0xffffffffffffffff";

    public static void Examine(ProcessSurvey process, ProblemList problems)
    {
        // Linear address masking (arch_prctl ARCH_ENABLE_TAGGED_ADDR): pointers of the program have bits that mean nothing.
        if (process.FaceStatus.Text("untag_mask") is { Length: > 0 } mask && mask != NoTags)
            problems.Add(process.Pid, process.Command, "", "it uses tagged addresses (LAM), which are not carried yet", "start the program without them");
        if (Label(process.Face) is { Length: > 0 } label && label != Label(Environment.ProcessId))
            problems.Add(process.Pid, process.Command, "", $"its security label ({label}) is not the one of this stasis, and would be that after the restart", "run stasis under the same label (runcon, aa-exec)");
        if (HasCoreCookie(process.Face))
            problems.Add(process.Pid, process.Command, "", "it shares CPU cores only with chosen tasks (core scheduling), which is not carried yet", "start the program without core scheduling");
    }

    // What SELinux, AppArmor or Smack call it; empty without one of them (EINVAL).
    private static string Label(int pid) => Files.ReadText($"/proc/{pid}/attr/current") is { Result.Failed: false } read ? read.Text.TrimEnd('\n', '\0') : "";

    // prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET), which tells of other tasks too; EINVAL or ENODEV where there is no such thing.
    private static bool HasCoreCookie(int tid)
    {
        const int PR_SCHED_CORE = 62, PR_SCHED_CORE_GET = 0, PIDTYPE_PID = 0;
        Span<ulong> cookie = [0];
        return !Kernel.CallWith(cookie, address => Kernel.Call(Syscall.prctl, PR_SCHED_CORE, PR_SCHED_CORE_GET, tid, PIDTYPE_PID, address)).Failed && cookie[0] != 0;
    }
}
