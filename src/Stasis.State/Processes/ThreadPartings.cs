using Stasis.Linux;

namespace Stasis.State.Processes;

/// <summary>
/// Which threads have parted from their process's descriptor table, or from its directories (man 2 unshare; clone without CLONE_FILES or
/// CLONE_FS), and which of those share theirs: the first of them, by its id, stands for all.
/// </summary>
public sealed class ThreadPartings
{
    private readonly Dictionary<int, int> _tables = [], _places = [];

    private ThreadPartings() { }

    /// <summary>The thread that stands for the descriptor table of this one; 0 when it has its process's.</summary>
    public int TableOf(int tid) => _tables.GetValueOrDefault(tid);

    /// <summary>The same of working directory, root and umask.</summary>
    public int PlacesOf(int tid) => _places.GetValueOrDefault(tid);

    /// <summary>One thread for each descriptor table that is not the process's.</summary>
    public IEnumerable<int> Tables => _tables.Values.Distinct();

    /// <summary>One thread for each set of directories that is not the process's.</summary>
    public IEnumerable<int> Places => _places.Values.Distinct();

    public static readonly ThreadPartings None = new();

    /// <summary>Errors: <see cref="KernelRefusal"/> with EPERM when the threads may not be compared. One that ends meanwhile has parted from nothing.</summary>
    public static ThreadPartings Of(int face, IReadOnlyList<int> tids)
    {
        var partings = new ThreadPartings();
        foreach (int tid in tids)
        {
            if (tid == face) continue;
            Note(partings._tables, face, tid, Kcmp.Kind.Files);
            Note(partings._places, face, tid, Kcmp.Kind.Fs);
        }
        return partings;
    }

    private static void Note(Dictionary<int, int> parted, int face, int tid, Kcmp.Kind kind)
    {
        if (AreSame(face, tid, kind)) return;
        foreach (int first in parted.Values.Distinct())
        {
            if (!AreSame(first, tid, kind)) continue;
            parted[tid] = first;
            return;
        }
        parted[tid] = tid;
    }

    private static bool AreSame(int first, int second, Kcmp.Kind kind)
    {
        try { return Kcmp.Compare(first, second, kind) == 0; }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.ESRCH) { return true; }
    }
}
