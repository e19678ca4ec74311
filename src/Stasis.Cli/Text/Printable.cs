using System.Globalization;
using System.Text;

namespace Stasis.Cli.Text;

/// <summary>
/// Names from /proc and from images are chosen by others: a process may be called "\x1b[2J". What would steer a terminal, break a
/// table or turn the reading direction is shown as an escape.
/// </summary>
internal static class Printable
{
    public static string Of(string text)
    {
        return text.All(IsPlain) ? text : Escape(text);
    }

    /// <summary>As <see cref="Of"/>, not longer than <paramref name="limit"/> characters.</summary>
    public static string Of(string text, int limit)
    {
        string printable = Of(text.Length > limit ? text[..limit] : text);
        return text.Length > limit || printable.Length > limit ? string.Concat(printable.AsSpan(0, Math.Min(printable.Length, limit - 1)), "…") : printable;
    }

    /// <summary>A path as one word of a shell command that can be copied.</summary>
    public static string ShellWord(string text)
    {
        bool plain = text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '/' or '.' or '_' or '-' or '+' or ':' or ',' or '=' or '@' or '%');
        return plain ? text : $"'{Of(text).Replace("'", "'\\''", StringComparison.Ordinal)}'";
    }

    private static bool IsPlain(char c) => !char.IsControl(c) && char.GetUnicodeCategory(c) is not
        (UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);

    private static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length + 8);
        foreach (char c in text)
        {
            if (IsPlain(c)) escaped.Append(c);
            else if (c == '\n') escaped.Append("\\n");
            else if (c == '\t') escaped.Append("\\t");
            else escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
        }
        return escaped.ToString();
    }
}
