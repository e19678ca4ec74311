using System.CommandLine;
using System.CommandLine.Parsing;
using Stasis.Cli.Failures;
using Stasis.Cli.Streams;

namespace Stasis.Cli.CommandLine;

/// <summary>A command line that isn't understood: one sentence, the usage of the verb, where to read more; exit code 64.</summary>
internal static class UsageFailure
{
    public static int Tell(ParseResult parsed, CommandContext context)
    {
        Command command = parsed.CommandResult.Command;
        int code = FailureReport.Tell(context, Failure.Usage(Sentence(parsed)));
        if (context.Json) return code;
        string verb = command is Verb ? $" {command.Name}" : "";
        context.Error.WriteLine($"usage: stasis {(command as Verb)?.Usage ?? "VERB …"}");
        context.Error.WriteLine($"`stasis{verb} --help` explains it.");
        context.Error.Flush();
        return code;
    }

    /// <summary>What the library says, in our words where its own are those of a programmer.</summary>
    private static string Sentence(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        if (command is RootCommand) return RootSentence(parsed, command);
        if (command.Options.FirstOrDefault(option => option.Required && parsed.GetResult(option) is null or { Implicit: true }) is { } required)
        {
            return $"{command.Name} needs {required.Name} {required.HelpName}";
        }
        if (command.Arguments.FirstOrDefault(argument => argument.Arity.MinimumNumberOfValues > 0 && parsed.GetResult(argument) is not { Tokens.Count: > 0 }) is { } missing)
        {
            return $"{command.Name} needs {missing.Name}";
        }
        if (parsed.Errors[0].SymbolResult is OptionResult { Tokens.Count: 0, Option: var empty }) return $"{empty.Name} needs {empty.HelpName}";
        return parsed.UnmatchedTokens is [var first, ..] ? $"{command.Name} does not know what to do with '{first}'" : parsed.Errors[0].Message;
    }

    private static string RootSentence(ParseResult parsed, Command root)
    {
        if (parsed.UnmatchedTokens is not [var given, ..]) return parsed.Tokens.Count == 0 ? "a verb is needed" : parsed.Errors[0].Message;
        string kind = given.StartsWith('-') ? "option" : "verb";
        string? near = Spelling.Nearest(given, root.Subcommands.Where(verb => !verb.Hidden).Select(verb => verb.Name));
        return near is null ? $"there is no {kind} '{given}'" : $"there is no {kind} '{given}'; did you mean {near}?";
    }
}
