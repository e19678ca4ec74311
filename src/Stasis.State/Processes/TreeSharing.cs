using Stasis.Linux;

namespace Stasis.State.Processes;

/// <summary>Which processes of a tree share what clone(2) can share, without being threads of one process (man 2 kcmp).</summary>
public sealed class TreeSharing
{
    private readonly Dictionary<Kcmp.Kind, Dictionary<int, int>> _ownerOf = [];

    /// <summary>The first process of the tree, in its order, that has the same; the process itself when it is the first.</summary>
    public int Owner(int pid, Kcmp.Kind kind) => _ownerOf[kind].TryGetValue(pid, out int owner) ? owner : pid;

    /// <summary>The owner when that is another process, else 0.</summary>
    public int SharedWith(int pid, Kcmp.Kind kind) => Owner(pid, kind) is var owner && owner != pid ? owner : 0;

    /// <summary>Processes that share this with one before them, and that one.</summary>
    public IEnumerable<(int Pid, int Owner)> Sharers(Kcmp.Kind kind) => _ownerOf[kind].Where(pair => pair.Key != pair.Value).Select(pair => (pair.Key, pair.Value));

    /// <summary>Errors: <see cref="KernelRefusal"/> or InvalidOperationException (from sorting) when a process ends meanwhile.</summary>
    public static TreeSharing Of(TreeSurvey tree)
    {
        var sharing = new TreeSharing();
        // A main thread that has ended has nothing to compare any more.
        Dictionary<int, int> faces = tree.Processes.Where(process => !process.Zombie).ToDictionary(process => process.Pid, process => process.Face);
        int[] pids = [.. tree.Processes.Where(process => !process.Zombie).Select(process => process.Pid)];
        foreach (Kcmp.Kind kind in (ReadOnlySpan<Kcmp.Kind>)[Kcmp.Kind.Vm, Kcmp.Kind.Fs, Kcmp.Kind.Files]) sharing._ownerOf[kind] = Owners(pids, faces, kind);
        // Handlers can be shared only by who shares memory.
        HashSet<int> together = [.. sharing.Sharers(Kcmp.Kind.Vm).SelectMany(pair => (int[])[pair.Pid, pair.Owner])];
        sharing._ownerOf[Kcmp.Kind.Sighand] = Owners([.. pids.Where(together.Contains)], faces, Kcmp.Kind.Sighand);
        return sharing;
    }

    private static Dictionary<int, int> Owners(int[] pids, Dictionary<int, int> faces, Kcmp.Kind kind)
    {
        Dictionary<int, int> place = [], owners = [];
        for (int i = 0; i < pids.Length; i++) place[pids[i]] = i;
        int[] sorted = [.. pids];
        Array.Sort(sorted, (a, b) => a == b ? 0 : Kcmp.Compare(faces[a], faces[b], kind));
        for (int start = 0, end; start < sorted.Length; start = end)
        {
            for (end = start + 1; end < sorted.Length && Kcmp.Compare(faces[sorted[start]], faces[sorted[end]], kind) == 0;) end++;
            int owner = sorted[start..end].MinBy(pid => place[pid]);
            foreach (int pid in sorted[start..end]) owners[pid] = owner;
        }
        return owners;
    }
}
