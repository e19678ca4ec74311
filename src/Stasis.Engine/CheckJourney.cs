using System.Globalization;
using Stasis.State;
using Stasis.State.Processes;

namespace Stasis.Engine;

/// <summary>What a checkpoint would capture and every problem there is; nothing is touched.</summary>
internal static class CheckJourney
{
    public static CheckReport Run(int pid)
    {
        Rights.Require();
        pid = RunNamespace.Meant(pid);
        (TreeSurvey tree, ProblemList problems) = Preflight.Settled(pid, []);
        return new CheckReport(pid, [.. tree.Processes.Select(Describe)], problems.All);
    }

    private static CheckedProcess Describe(ProcessSurvey process)
    {
        string resident = process.FaceStatus.Text("VmRSS").Split(' ')[0];
        _ = long.TryParse(resident, CultureInfo.InvariantCulture, out long kilobytes);
        return new CheckedProcess(process.Pid, process.Stat.ParentPid, process.Command, process.Tids.Count, process.AllDescriptors.Count(), process.Mappings.Count, kilobytes * 1024);
    }
}
