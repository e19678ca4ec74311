namespace Stasis.State.Descriptors;

/// <summary>One step: descriptor From is duplicated to To. Where both are the same it is in place and only its close-on-exec flag is set.</summary>
/// <param name="Aside">To is a number out of the way that nobody wants; it is left over at the end.</param>
public readonly record struct DescriptorMove(int From, int To, bool CloseOnExec, bool Aside = false)
{
    public bool InPlace => From == To;
}

/// <summary>
/// A parallel move: every wanted number gets what lies at its source, as if all were moved at once. A number that is still the
/// source of another must not be overwritten before that one is done; a cycle is broken over one spare number.
/// </summary>
public static class DescriptorMoves
{
    /// <param name="wanted">Number, source and flag; no number twice.</param>
    /// <param name="spare">A number that is neither wanted nor a source. What it holds after the last step is of no use.</param>
    public static List<DescriptorMove> Plan(IReadOnlyCollection<(int Number, int Source, bool CloseOnExec)> wanted, int spare)
    {
        List<DescriptorMove> moves = new(wanted.Count);
        Dictionary<int, (int Source, bool CloseOnExec)> pending = [];
        Dictionary<int, int> uses = [];
        foreach ((int number, int source, bool closeOnExec) in wanted)
        {
            if (number == source)
            {
                // Nobody else has this number as its own, so it stays a good source all along.
                moves.Add(new DescriptorMove(source, number, closeOnExec));
                continue;
            }
            pending.Add(number, (source, closeOnExec));
            uses[source] = uses.GetValueOrDefault(source) + 1;
        }
        Queue<int> ready = new(pending.Keys.Where(number => !uses.ContainsKey(number)));
        Take(ready, pending, uses, moves);
        // What is left are cycles: as many uses as numbers, and each number is used.
        foreach (int stuck in wanted.Select(entry => entry.Number))
        {
            if (!pending.ContainsKey(stuck)) continue;
            moves.Add(new DescriptorMove(stuck, spare, false, Aside: true));
            int follower = stuck;
            while (pending[follower].Source != stuck) follower = pending[follower].Source;
            pending[follower] = pending[follower] with { Source = spare };
            uses[spare] = 1;
            uses.Remove(stuck);
            ready.Enqueue(stuck);
            Take(ready, pending, uses, moves);
        }
        return moves;
    }

    // Moves what can be moved; a source that nobody needs any more may be overwritten next.
    private static void Take(Queue<int> ready, Dictionary<int, (int Source, bool CloseOnExec)> pending, Dictionary<int, int> uses, List<DescriptorMove> moves)
    {
        while (ready.TryDequeue(out int number))
        {
            pending.Remove(number, out (int Source, bool CloseOnExec) from);
            moves.Add(new DescriptorMove(from.Source, number, from.CloseOnExec));
            if (--uses[from.Source] > 0) continue;
            uses.Remove(from.Source);
            if (pending.ContainsKey(from.Source)) ready.Enqueue(from.Source);
        }
    }
}
