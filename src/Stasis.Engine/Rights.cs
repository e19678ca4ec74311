using Stasis.Linux.Proc;

namespace Stasis.Engine;

/// <summary>What this process may do.</summary>
internal static class Rights
{
    private const int CAP_SYS_PTRACE = 19, CAP_SYS_ADMIN = 21, CAP_CHECKPOINT_RESTORE = 40;

    /// <summary>Errors: <see cref="FailureKind.NotPermitted"/>, with what is missing by name.</summary>
    public static void Require()
    {
        ulong have = ProcStatus.Read("/proc/self")?.Hex("CapEff") ?? 0;
        List<string> missing = [];
        if ((have >> CAP_SYS_PTRACE & 1) == 0) missing.Add("CAP_SYS_PTRACE");
        if (((have >> CAP_SYS_ADMIN | have >> CAP_CHECKPOINT_RESTORE) & 1) == 0) missing.Add("CAP_CHECKPOINT_RESTORE");
        if (missing.Count > 0) throw new StasisFailure(FailureKind.NotPermitted, $"this stasis lacks {string.Join(" and ", missing)}: run it as root, or with these capabilities");
    }
}
