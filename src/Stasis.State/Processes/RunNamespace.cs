using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Processes;

/// <summary>Namespaces that `stasis run` (or a restart in a new pid namespace) made.</summary>
public static class RunNamespace
{
    /// <summary>Whether a process is our init: process 1 of its pid namespace, and one of our blank processes.</summary>
    public static bool IsInit(int pid)
    {
        if (pid <= 0) return false;
        uint[] ids = ProcStatus.Read($"/proc/{pid}")?.Numbers("NSpid") ?? [];
        return ids.Length >= 2 && ids[^1] == 1 && Files.ReadLink($"/proc/{pid}/exe").Target.StartsWith("/memfd:stasis-blank", StringComparison.Ordinal);
    }

    /// <summary>
    /// Whom a user means: `$!` of `stasis run COMMAND &` (or of a restart in the foreground) is a stasis, and COMMAND its child, or the
    /// child of the init that is its child. Anybody else is meant himself.
    /// </summary>
    public static int Meant(int pid)
    {
        (SysResult result, string program) = Files.ReadLink($"/proc/{pid}/exe");
        if (result.Failed || program != Files.ReadLink("/proc/self/exe").Target || pid == Environment.ProcessId) return pid;
        List<int> children = ProcessSurvey.ChildrenOf(pid, ProcessSurvey.TidsOf(pid));
        if (children.Count != 1) return pid;
        if (!IsInit(children[0])) return children[0];
        List<int> inside = ProcessSurvey.ChildrenOf(children[0], ProcessSurvey.TidsOf(children[0]));
        return inside.Count > 0 ? inside[0] : pid;
    }
}
