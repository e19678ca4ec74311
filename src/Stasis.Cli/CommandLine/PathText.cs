using System.CommandLine.Parsing;
using System.Text;
using Stasis.Linux;

namespace Stasis.Cli.CommandLine;

/// <summary>A path as given. Only what no path can be is refused here; the rest is the kernel's to say.</summary>
internal static class PathText
{
    public static string? Parse(ArgumentResult result)
    {
        string text = result.Tokens is [var token] ? token.Value : "";
        if (text.Length == 0) result.AddError("an empty text is not a path");
        else if (Encoding.UTF8.GetByteCount(text) >= Files.MaxPath) result.AddError($"a path is shorter than {Files.MaxPath} bytes");
        return text;
    }
}
