namespace Stasis.Cli.Text;

/// <summary>Puts processes in the order of their tree: each below its parent, siblings by pid.</summary>
internal static class ProcessTree
{
    private const int DeepestIndent = 24;

    /// <summary>
    /// Every item once with its depth. A parent that is not among the items makes a root. Parents that go round in a circle, which
    /// only a forged image has, make a root of the lowest pid of the circle. No recursion: a tree may be a thousand deep.
    /// </summary>
    public static IReadOnlyList<(T Item, int Depth)> InOrder<T>(IReadOnlyList<T> items, Func<T, int> pid, Func<T, int> parent)
    {
        var sorted = items.OrderBy(pid).ToList();
        var known = sorted.Select(pid).ToHashSet();
        ILookup<int, T> children = sorted.ToLookup(parent);
        var visited = new HashSet<int>();
        var ordered = new List<(T, int)>(sorted.Count);
        foreach (T root in sorted.Where(item => !known.Contains(parent(item)))) Visit(root);
        foreach (T left in sorted) Visit(left);
        return ordered;

        void Visit(T root)
        {
            var waiting = new Stack<(T Item, int Depth)>([(root, 0)]);
            while (waiting.TryPop(out (T Item, int Depth) next))
            {
                if (!visited.Add(pid(next.Item))) continue;
                ordered.Add(next);
                foreach (T child in children[pid(next.Item)].Reverse()) waiting.Push((child, next.Depth + 1));
            }
        }
    }

    /// <summary>A name, moved in by its depth.</summary>
    public static string Indented(string name, int depth) => new string(' ', 2 * Math.Min(depth, DeepestIndent)) + name;
}
