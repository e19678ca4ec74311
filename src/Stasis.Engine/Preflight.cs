using Stasis.Linux;
using Stasis.State;
using Stasis.State.Descriptors;
using Stasis.State.Processes;

namespace Stasis.Engine;

/// <summary>The look at a running tree before anything is touched.</summary>
internal static class Preflight
{
    private const int Attempts = 6;

    /// <summary>Errors: <see cref="Refused"/> with every problem that does not pass by itself, <see cref="StasisFailure"/> when there is no such process.</summary>
    public static TreeSurvey Require(int pid, IReadOnlyList<ExternalDescriptor> external, OutsideSocketPolicy outsideSockets)
    {
        (TreeSurvey tree, ProblemList problems) = Settled(pid, external, outsideSockets);
        if (problems.Any) throw Refuse(tree, problems);
        return tree;
    }

    /// <summary>
    /// Looks again while there are problems: a running tree changes under our eyes, and what is just beginning or ending looks broken.
    /// Those that are not there at each look pass by themselves, and the freeze, which looks again, waits for them.
    /// </summary>
    public static (TreeSurvey Tree, ProblemList Problems) Settled(int pid, IReadOnlyList<ExternalDescriptor> external, OutsideSocketPolicy outsideSockets = OutsideSocketPolicy.Refuse)
    {
        long patience = Environment.TickCount64 + (long)VforkWait.Patience.TotalMilliseconds;
        HashSet<Problem>? always = null;
        for (int attempt = 1; ; attempt++)
        {
            var problems = new ProblemList();
            TreeSurvey tree;
            try
            {
                (tree, ExamineContext context) = Look(pid, 0, problems, external, outsideSockets);
                context.Dispose();
            }
            catch (KernelRefusal) when (attempt < Attempts)
            {
                Pause.Microseconds(10_000 * attempt);
                continue;
            }
            // Whole, with its words: a client that waits at a busy listener is another one each time.
            if (always is null) always = [.. problems.All];
            else always.IntersectWith(problems.All);
            if (always.Count == 0) return (tree, new ProblemList());
            problems.Keep(always.Contains);
            if (attempt >= Attempts && !(problems.OnlyPassing && Environment.TickCount64 < patience)) return (tree, problems);
            Pause.Microseconds(10_000 * Math.Min(attempt, Attempts));
        }
    }

    /// <param name="tracer">Our own pid when the tree is frozen by us; 0 when it runs.</param>
    /// <param name="carriesClients">Whether clients whom no program has accepted yet are carried already, or waited for.</param>
    public static (TreeSurvey Tree, ExamineContext Context) Look(int pid, int tracer, ProblemList problems, IReadOnlyList<ExternalDescriptor> external, OutsideSocketPolicy outsideSockets, bool carriesClients = false)
    {
        TreeSurvey tree = TreeSurvey.Take(pid, problems) ?? throw new StasisFailure(FailureKind.Failed, $"there is no process {pid}");
        if (tree.Root.Zombie) throw new StasisFailure(FailureKind.Failed, $"process {pid} ({tree.Root.Command}) has ended already");
        return (tree, ProcessExamination.Run(tree, problems, tracer, Named(tree, external, problems), outsideSockets, carriesClients));
    }

    private static HashSet<(int, int)> Named(TreeSurvey tree, IReadOnlyList<ExternalDescriptor> external, ProblemList problems)
    {
        foreach (ExternalDescriptor named in external)
            if (!tree.Processes.Any(process => (process.Pid == named.Pid || process.OwnDescriptors.ContainsKey(named.Pid)) && process.AllDescriptors.Any(sighting => sighting.Pid == (process.Pid == named.Pid ? process.Face : named.Pid) && sighting.Number == named.Number)))
                problems.Add(named.Pid, "process", $"descriptor {named.Number}", "--external names it, and it is not there", "look with `stasis check`, or in /proc/PID/fd");
        return [.. external.Select(named => (named.Pid, named.Number))];
    }

    public static Refused Refuse(TreeSurvey tree, ProblemList problems) => new($"process {tree.Root.Pid} ({tree.Root.Command}) can't be checkpointed", problems.All);
}
