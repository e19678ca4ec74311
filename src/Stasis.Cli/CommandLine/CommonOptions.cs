using System.CommandLine;
using Stasis.Cli.Streams;

namespace Stasis.Cli.CommandLine;

/// <summary>The options that every verb has; they may stand before or behind the verb.</summary>
internal static class CommonOptions
{
    public static readonly Option<bool> Json = new("--json") { Description = "One JSON document on the output, for errors too.", Recursive = true };

    public static readonly Option<bool> Quiet = new("--quiet", "-q") { Description = "No progress and no remarks; errors are still told.", Recursive = true };

    /// <param name="points">The points of the journey at which hooks are called.</param>
    public static Option<string[]> Hook(string points) => new("--hook")
    {
        HelpName = "PROGRAM",
        Description = $"Call this program at {points}, which is its argument; it reads a JSON description. Where it fails, the journey ends. May be given several times.",
    };

    public static CommandContext Apply(ParseResult parsed, CommandContext context) =>
        context with { Json = parsed.GetValue(Json), Quiet = parsed.GetValue(Quiet) };
}
