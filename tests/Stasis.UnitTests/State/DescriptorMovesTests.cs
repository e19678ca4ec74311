using Stasis.State.Descriptors;

namespace Stasis.UnitTests.State;

public sealed class DescriptorMovesTests
{
    private const int Spare = 100_000;

    /// <summary>A descriptor table in which the moves are made as dup3, dup2 and F_SETFD would: every number holds a name of its own at first.</summary>
    private static void CheckSimulated(IReadOnlyCollection<(int Number, int Source, bool CloseOnExec)> wanted, int mostMoves)
    {
        Dictionary<int, (int Content, bool CloseOnExec)> table = wanted.Select(entry => entry.Source).Distinct().ToDictionary(source => source, source => (source, false));
        List<DescriptorMove> moves = DescriptorMoves.Plan(wanted, Spare);
        foreach (DescriptorMove move in moves)
        {
            Assert.True(table.ContainsKey(move.From), $"{move} has no source");
            Assert.Equal(move.Aside, move.To == Spare);
            table[move.To] = (table[move.From].Content, move.CloseOnExec);
        }
        Assert.All(wanted, entry => Assert.Equal((entry.Source, entry.CloseOnExec), table[entry.Number]));
        Assert.InRange(moves.Count, wanted.Count, mostMoves);
    }

    [Fact]
    public void Nothing_wanted_is_nothing_done() => Assert.Empty(DescriptorMoves.Plan([], Spare));

    [Fact]
    public void What_is_in_place_only_gets_its_flag() =>
        Assert.Equal([new DescriptorMove(3, 3, true), new DescriptorMove(4, 4, false)], DescriptorMoves.Plan([(3, 3, true), (4, 4, false)], Spare));

    [Fact]
    public void A_chain_goes_from_its_end() => Assert.Equal([(5, 6), (4, 5), (3, 4)], DescriptorMoves.Plan([(4, 3, false), (5, 4, false), (6, 5, false)], Spare).Select(move => (move.From, move.To)));

    [Fact]
    public void Two_that_change_places_take_one_step_more() => CheckSimulated([(3, 4, true), (4, 3, false)], 3);

    [Fact]
    public void One_source_serves_many_and_itself() => CheckSimulated([(0, 1, false), (1, 1, true), (2, 1, true), (3, 1, false)], 4);

    [Fact]
    public void A_cycle_with_a_branch_needs_no_spare_number() => CheckSimulated([(3, 4, false), (4, 3, true), (7, 3, true)], 4);

    [Fact]
    public void Several_cycles_share_the_spare_number() => CheckSimulated([(0, 1, false), (1, 0, true), (2, 3, false), (3, 4, false), (4, 2, true), (5, 5, true)], 8);

    [Fact]
    public void Every_permutation_of_six()
    {
        foreach (int[] sources in Permutations([.. Enumerable.Range(0, 6)]))
            CheckSimulated([.. sources.Select((source, number) => (number, source, (number & 1) == 0))], 6 + 3);
    }

    private static IEnumerable<int[]> Permutations(int[] items)
    {
        if (items.Length <= 1) return [items];
        return items.SelectMany(first => Permutations([.. items.Where(item => item != first)]).Select(rest => (int[])[first, .. rest]));
    }

    [Fact]
    public void Every_map_of_four_to_five() // with sources used by several numbers and by none
    {
        for (int code = 0; code < 5 * 5 * 5 * 5; code++)
            CheckSimulated([.. Enumerable.Range(0, 4).Select(number => (number, code / (int)Math.Pow(5, number) % 5, number == 2))], 4 + 2);
    }

    [Fact]
    public void Random_tables()
    {
        Random random = new(3);
        for (int round = 0; round < 2000; round++)
        {
            int count = random.Next(1, 60), range = random.Next(count, count * 3);
            int[] numbers = [.. Enumerable.Range(0, range).OrderBy(_ => random.Next()).Take(count)];
            int[] sources = [.. Enumerable.Range(random.Next(3) * 20, range).OrderBy(_ => random.Next()).Take(count)];
            bool shared = random.Next(2) == 0;
            CheckSimulated([.. numbers.Select((number, i) => (number, shared ? sources[random.Next(count)] : sources[i], random.Next(2) == 0))], count * 2);
        }
    }

    [Fact]
    public void A_full_table_takes_no_more_than_moments()
    {
        const int Count = 65536;
        CheckSimulated([.. Enumerable.Range(0, Count).Select(number => (number, (number + 1) % Count, false))], Count + 1);
        CheckSimulated([.. Enumerable.Range(0, Count).Select(number => (number, number ^ 1, false))], Count / 2 * 3);
        CheckSimulated([.. Enumerable.Range(0, Count).Select(number => (number, number, true))], Count);
    }

    [Fact]
    public void A_number_wanted_twice_is_a_mistake() => Assert.Throws<ArgumentException>(() => DescriptorMoves.Plan([(3, 4, false), (3, 5, false)], Spare));
}
