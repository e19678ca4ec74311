namespace Stasis.Cli.Text;

internal static class Wrapped
{
    /// <summary>Words in lines of at most <paramref name="columns"/> characters; a longer word has a line of its own.</summary>
    public static IEnumerable<string> Lines(string text, int columns)
    {
        string line = "";
        foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > columns)
            {
                yield return line;
                line = "";
            }
            line = line.Length == 0 ? word : $"{line} {word}";
        }
        if (line.Length > 0) yield return line;
    }

    /// <summary>A first column as wide as given and text wrapped beside it.</summary>
    public static void WriteBeside(TextWriter output, string first, int firstColumns, string text, int columns)
    {
        const int Least = 24;
        string indent = new(' ', firstColumns);
        string begin = first.PadRight(firstColumns);
        if (first.Length + 1 > firstColumns)
        {
            output.WriteLine(first);
            begin = indent;
        }
        foreach (string line in Lines(text, Math.Max(Least, columns - firstColumns)))
        {
            output.WriteLine(begin + line);
            begin = indent;
        }
        if (text.Length == 0 && begin != indent) output.WriteLine(first);
    }
}
