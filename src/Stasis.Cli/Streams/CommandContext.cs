using Stasis.Engine;

namespace Stasis.Cli.Streams;

/// <summary>Where a command writes and how: everything it may know of the world around it, so that a test can give it string writers.</summary>
/// <param name="ErrorTerminal">The terminal behind the error stream; null when it is none.</param>
internal sealed record CommandContext(TextWriter Output, TextWriter Error, Terminal? ErrorTerminal = null)
{
    public bool Json { get; init; }
    public bool Quiet { get; init; }

    /// <summary>Set by STASIS_TRACE=1: failures show their stack.</summary>
    public bool Trace { get; init; }

    /// <summary>Whether remarks beside the result have a reader.</summary>
    public bool Chatty => !Json && !Quiet;

    /// <summary>A progress line, where somebody sits in front of it.</summary>
    public TerminalProgress? Progress(string journey) =>
        ErrorTerminal is not null && Chatty ? new TerminalProgress(ErrorTerminal, Error, journey) : null;
}
