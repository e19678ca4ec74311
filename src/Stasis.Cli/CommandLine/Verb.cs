using System.CommandLine;

namespace Stasis.Cli.CommandLine;

/// <summary>One line of the examples in a help text.</summary>
internal sealed record Example(string Line, string Meaning);

/// <summary>A command with what its help says beyond the options.</summary>
internal sealed class Verb(string name, string description) : Command(name, description)
{
    /// <summary>What follows `stasis` on the usage line, required things first.</summary>
    public required string Usage { get; init; }

    /// <summary>Paragraphs below the description.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
    public required IReadOnlyList<Example> Examples { get; init; }
}
