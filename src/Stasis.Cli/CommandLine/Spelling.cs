namespace Stasis.Cli.CommandLine;

/// <summary>What a misspelt word may have been meant to be.</summary>
internal static class Spelling
{
    private const int MostSlips = 2;
    private const int LongestWord = 40;

    /// <summary>The known word that is at most two slips away; null when none is.</summary>
    public static string? Nearest(string given, IEnumerable<string> known)
    {
        if (given.Length > LongestWord) return null;
        (string Word, int Slips) best = known.Select(word => (word, Slips(given, word))).DefaultIfEmpty(("", int.MaxValue)).MinBy(pair => pair.Item2);
        return best.Slips <= MostSlips && best.Slips < best.Word.Length / 2 ? best.Word : null;
    }

    /// <summary>Letters to insert, drop or replace (Levenshtein), one row of the table at a time.</summary>
    private static int Slips(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.Length];
    }
}
