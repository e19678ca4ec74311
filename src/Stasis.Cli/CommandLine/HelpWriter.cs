using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Stasis.Cli.Streams;
using Stasis.Cli.Text;

namespace Stasis.Cli.CommandLine;

/// <summary>
/// The text of `--help`. In place of the library's own, which has no examples, shows a required option as if it were not, and asks
/// System.Console for the width of the terminal (see <see cref="DescriptorWriter"/> for why that must not be).
/// </summary>
internal sealed class HelpWriter(CommandContext context, Terminal? outputTerminal) : SynchronousCommandLineAction
{
    private const int WidestText = 100;

    private readonly int _columns = Math.Min(outputTerminal?.Columns ?? 80, WidestText);

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        Write(parseResult.CommandResult.Command);
        return ExitCode.Done;
    }

    public void Write(Command command)
    {
        TextWriter output = context.Output;
        var verb = command as Verb;
        Paragraph(command.Description ?? "");
        foreach (string note in verb?.Notes ?? []) Paragraph(note);
        output.WriteLine("Usage:");
        output.WriteLine($"  stasis {verb?.Usage ?? "VERB …"}");
        Rows("Verbs:", command.Subcommands.Where(child => !child.Hidden).Select(child => ((child as Verb)?.Usage ?? child.Name, child.Description)));
        Rows("Arguments:", command.Arguments.Where(argument => !argument.Hidden).Select(argument => (argument.Name, argument.Description)));
        Rows("Options:", OptionsOf(command).Select(option => (Names(option), option.Description)));
        if (command is RootCommand) Rows("Exit codes:", ExitCode.Meanings.Select(meaning => (meaning.Code, (string?)meaning.Meaning)));
        Examples(verb?.Examples ?? Program.FirstSteps);
        output.Flush();
    }

    private static IEnumerable<Option> OptionsOf(Command command)
    {
        IEnumerable<Option> inherited = command.Parents.OfType<Command>().SelectMany(parent => parent.Options).Where(option => option.Recursive);
        return command.Options.Concat(inherited).Where(option => !option.Hidden);
    }

    private static string Names(Option option)
    {
        IEnumerable<string> names = option is HelpOption ? ["-h", "--help"] : option.Aliases.Append(option.Name).OrderBy(name => name.Length);
        string value = option.HelpName is { } help ? $" {help}" : "";
        return string.Join(", ", names) + value;
    }

    private void Paragraph(string text)
    {
        foreach (string line in Wrapped.Lines(text, _columns)) context.Output.WriteLine(line);
        context.Output.WriteLine();
    }

    private void Rows(string title, IEnumerable<(string Name, string? Text)> rows)
    {
        const int WidestFirst = 30;
        var list = rows.ToList();
        if (list.Count == 0) return;
        context.Output.WriteLine();
        context.Output.WriteLine(title);
        int first = list.Select(row => row.Name.Length + 4).Where(width => width <= WidestFirst).DefaultIfEmpty(WidestFirst).Max();
        foreach ((string name, string? text) in list) Wrapped.WriteBeside(context.Output, "  " + name, first, text ?? "", _columns);
    }

    private void Examples(IReadOnlyList<Example> examples)
    {
        if (examples.Count == 0) return;
        context.Output.WriteLine();
        context.Output.WriteLine("Examples:");
        foreach (Example example in examples)
        {
            context.Output.WriteLine($"  {example.Line}");
            foreach (string line in Wrapped.Lines(example.Meaning, _columns - 6)) context.Output.WriteLine($"      {line}");
        }
    }
}
