using Stasis.Linux.Proc;

namespace Stasis.State.Seccomp;

/// <summary>Who may read filters and set them aside while a task is traced: CAP_SYS_ADMIN, and no seccomp on oneself (kernel/seccomp.c, kernel/ptrace.c).</summary>
public static class SeccompRights
{
    private const int CAP_SYS_ADMIN = 21;

    /// <summary>What stands in the way for this process, and what to do; null when nothing does.</summary>
    public static (string Why, string Advice)? Missing()
    {
        ProcStatus? own = ProcStatus.Read("/proc/self");
        if (own is null || own.Number("Seccomp") != 0) return ("this stasis is confined by seccomp itself and may not handle filters", "run stasis outside of the sandbox or container");
        if ((own.Hex("CapEff") >> CAP_SYS_ADMIN & 1) == 0) return ("handling seccomp takes CAP_SYS_ADMIN, which this stasis lacks", "run stasis as root");
        return null;
    }
}
