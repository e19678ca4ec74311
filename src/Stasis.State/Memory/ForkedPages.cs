using Stasis.Image;
using Stasis.Linux;

namespace Stasis.State.Memory;

/// <summary>
/// Pages that a process still has in common with its parent, since it was forked: stored once, with the parent's. A restart gives each process
/// its own.
/// </summary>
public sealed class ForkedPages
{
    private readonly Dictionary<int, List<PlannedRun>> _planned = [];

    /// <summary>Remembers what is planned for a process, in order of address.</summary>
    public void Remember(int pid, IEnumerable<PlannedRun> runs)
    {
        if (!_planned.TryGetValue(pid, out List<PlannedRun>? its)) _planned[pid] = its = [];
        its.AddRange(runs);
    }

    /// <summary>Whether anything is known of this parent.</summary>
    public bool Knows(int parent) => _planned.ContainsKey(parent);

    /// <summary>Cuts the runs of a child into those that are its parent's and its own.</summary>
    public List<PlannedRun> Cut(int parent, SharedPages pages, List<PageRun> runs)
    {
        List<PlannedRun> known = _planned[parent], cut = [];
        foreach (PageRun run in runs)
        {
            ulong at = run.Start;
            for (int i = FirstEndingBehind(known, run.Start); i < known.Count && known[i].Run.Start < run.End; i++)
            {
                PageRun theirs = known[i].Run;
                List<PageRun> same = [];
                pages.Find(Math.Max(run.Start, theirs.Start), Math.Min(run.End, theirs.End), same);
                foreach (PageRun shared in same)
                {
                    if (shared.Start > at) cut.Add(new PlannedRun(new PageRun(at, shared.Start), null));
                    cut.Add(new PlannedRun(shared, known[i].Offset + (shared.Start - theirs.Start)));
                    at = shared.End;
                }
            }
            if (at < run.End) cut.Add(new PlannedRun(new PageRun(at, run.End), null));
        }
        return cut;
    }

    private static int FirstEndingBehind(List<PlannedRun> runs, ulong address)
    {
        int low = 0, high = runs.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (runs[middle].Run.End <= address) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
