using Stasis.Linux;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State.Seccomp;
using Stasis.State.Threads;

namespace Stasis.State.Processes;

/// <summary>Looks for what can't be carried and shows only to a tracer of a stopped task.</summary>
public static class FrozenExamination
{
    public static void Run(TreeSurvey tree, IReadOnlyDictionary<int, List<Tracee>> tasksOf, ProblemList problems)
    {
        foreach (ProcessSurvey process in tree.Processes)
        {
            if (!tasksOf.TryGetValue(process.Pid, out List<Tracee>? tasks)) continue;
            foreach (Tracee task in tasks)
                if (DispatchRecord.StandsInTheWay(task))
                    problems.AddPassing(process.Pid, process.Command, task.Tid == process.Pid ? "" : $"thread {task.Tid}", "its system calls all go to a handler of its own just now (syscall user dispatch), and so would those that stasis needs", "try again when it waits in a system call");
            if (process.ThirtyTwoBit && tasks.Any(task => !Compat.IsIn(task.Registers)))
                problems.AddPassing(process.Pid, process.Command, "", "it is a 32-bit program and is in 64-bit code just now, which is not carried yet", "try again in a moment");
            if (process.ThirtyTwoBit && tasks.Any(task => task.ReadState() is var state && state.OwnSignals.Concat(state.SharedSignals).Any(signal => BitConverter.ToInt32(signal) == Signals.SIGTRAP)))
                problems.AddPassing(process.Pid, process.Command, "", "it is a 32-bit program and a SIGTRAP waits for it, which together are not carried yet", "try again in a moment");
            if (tasks.Any(HasNotifyingFilter))
                problems.Add(process.Pid, process.Command, "", SeccompCapture.NotifyingWhy, SeccompCapture.NotifyingAdvice);
        }
    }

    private static bool HasNotifyingFilter(Tracee task) =>
        !Ptrace.GetSeccompFlags(task.Tid, 0, out _).Failed && SeccompCapture.Read(task).Any(SeccompCapture.Notifies);
}
