namespace Stasis.Cli.Text;

/// <summary>Columns as wide as their content, two spaces apart. A heading that begins with '&gt;' marks numbers: aligned to the right.</summary>
internal sealed class TextTable(params string[] headings)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells)
    {
        if (cells.Length != headings.Length) throw new ArgumentException($"{cells.Length} cells for {headings.Length} columns");
        _rows.Add(cells);
    }

    public void Write(TextWriter output, string indent = "")
    {
        bool[] right = [.. headings.Select(heading => heading.StartsWith('>'))];
        string[] titles = [.. headings.Select(heading => heading.TrimStart('>'))];
        int[] widths = [.. titles.Select((title, column) => _rows.Select(row => row[column].Length).Append(title.Length).Max())];
        foreach (string[] row in _rows.Prepend(titles))
        {
            var cells = row.Select((cell, column) => right[column] ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column]));
            output.WriteLine((indent + string.Join("  ", cells)).TrimEnd());
        }
    }
}
