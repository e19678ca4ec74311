using Stasis.Linux.Proc;
using Stasis.Remote.X64;

namespace Stasis.State.Processes;

/// <summary>What can't be carried of a program of 32 bits (i386), or together with one.</summary>
internal static class CompatExamination
{
    public static void Run(ProcessSurvey process, TreeSurvey tree, ProblemList problems)
    {
        void Refuse(string why, string advice) => problems.Add(process.Pid, process.Command, "", why, advice);
        if (process.X32)
        {
            Refuse("x32 programs are not carried", "use its 64-bit build");
            return;
        }
        if (process.Mappings.Any(mapping => mapping.End > Compat.HighestAddress)) Refuse("it is a 32-bit program with memory behind the first 4 GiB, which is not carried", "use its 64-bit build");
        if (process.Mappings.Count > 0 && process.Mappings.All(mapping => mapping.Name != "[vdso]")) Refuse("it is a 32-bit program without a vdso, by which its calls are made, and is not carried so", "start the kernel without vdso32=0");
        if (tree.Processes.Any(traced => TracerOf(traced) is var tracer && tracer != 0 && process.Tids.Contains(tracer)) || tree.Processes.Any(other => other.Tids.Contains(TracerOf(process))))
            Refuse("it is a 32-bit program that traces or is traced, which is not carried yet", "end the debugger or strace session first");
    }

    private static int TracerOf(ProcessSurvey process) => (int)process.FaceStatus.Number("TracerPid");
}
