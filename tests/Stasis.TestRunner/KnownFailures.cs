namespace Stasis.TestRunner;

/// <summary>The tests that are known to fail, from tests/known.tsv: name, reason in one line, since which commit; tabs between, `#` begins a comment.</summary>
public sealed class KnownFailures
{
    private readonly Dictionary<string, string> _reasons = [];

    public static KnownFailures None => new();

    public int Count => _reasons.Count;

    public IEnumerable<string> Names => _reasons.Keys;

    /// <summary>Throws <see cref="FormatException"/> for a line that is not of three parts, or a name that is there twice: a list that is misread hides failures.</summary>
    public static KnownFailures Parse(string text)
    {
        KnownFailures known = new();
        int number = 0;
        foreach (string line in text.Split('\n'))
        {
            number++;
            if (line.Trim().Length == 0 || line[0] == '#')
                continue;
            string[] parts = line.Split('\t');
            if (parts.Length != 3 || parts.Any(part => part.Trim().Length == 0))
                throw new FormatException($"known.tsv, line {number}: not a test, a reason and a commit with tabs between");
            if (!known._reasons.TryAdd(parts[0], $"{parts[1]} (since {parts[2].Trim()})"))
                throw new FormatException($"known.tsv, line {number}: {parts[0]} is listed twice");
        }

        return known;
    }

    public string? ReasonOf(string test) => _reasons.GetValueOrDefault(test);
}
