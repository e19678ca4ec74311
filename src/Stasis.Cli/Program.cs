using System.CommandLine;
using System.CommandLine.Help;
using System.Text;
using Stasis.Cli.CommandLine;
using Stasis.Cli.Commands;
using Stasis.Cli.Failures;
using Stasis.Cli.Streams;
using Stasis.Linux;

namespace Stasis.Cli;

/// <summary>The command tree of `stasis`, and the way from an argument list to an exit code.</summary>
internal static class Program
{
    private const int StandardOutput = 1, StandardError = 2;

    public static readonly IReadOnlyList<Example> FirstSteps =
    [
        new("stasis check 4242", "Can process 4242 and its descendants be saved?"),
        new("stasis checkpoint 4242 -o job.image", "Save them and end them."),
        new("stasis restart job.image", "Go on where they were."),
    ];

    private static int Main(string[] arguments)
    {
        // Scripts ask for the version often; the command tree below would cost more than the answer.
        if (arguments is ["--version"]) return TellVersion();

        var output = new DescriptorWriter(StandardOutput, isError: false);
        var error = new DescriptorWriter(StandardError, isError: true);
        var context = new CommandContext(output, error, Terminal.Behind(StandardError)) { Trace = Environment.GetEnvironmentVariable("STASIS_TRACE") == "1" };
        AppDomain.CurrentDomain.UnhandledException += (_, thrown) => EndAfter((Exception)thrown.ExceptionObject, context);
        return Invoke(arguments, context, Journeys.OfTheEngine);
    }

    private static int TellVersion() => Files.WriteAll(StandardOutput, Encoding.ASCII.GetBytes(VersionWriter.Line + "\n")).Failed ? ExitCode.Failed : ExitCode.Done;

    /// <summary>Parses and runs. Never throws.</summary>
    public static int Invoke(string[] arguments, CommandContext context, Journeys journeys) => FailureReport.Guard(context, () =>
    {
        RootCommand root = Tree(context, journeys);
        // Response files are off: an argument may begin with '@'.
        ParseResult parsed = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        context = CommonOptions.Apply(parsed, context);
        if (parsed.Action is HelpWriter) return parsed.Invoke(Configuration(context));
        return parsed.Errors.Count > 0 ? UsageFailure.Tell(parsed, context) : parsed.Invoke(Configuration(context));
    });

    private static RootCommand Tree(CommandContext context, Journeys journeys)
    {
        var root = new RootCommand("Stasis saves running computations to disk and brings them back.")
        {
            CheckpointCommand.Define(context, journeys),
            RestartCommand.Define(context, journeys),
            CheckCommand.Define(context, journeys),
            ShowCommand.Define(context, journeys),
            RunCommand.Define(context, journeys),
            BenchTapeCommand.Define(context),
            CommonOptions.Json,
            CommonOptions.Quiet,
        };
        root.Directives.Clear();
        VersionOption version = root.Options.OfType<VersionOption>().Single();
        version.Description = "The version of stasis.";
        version.Action = new VersionWriter(context);
        HelpOption help = root.Options.OfType<HelpOption>().Single();
        help.Description = "This text; behind a verb, the text of that verb.";
        help.Action = new HelpWriter(context, Terminal.Behind(StandardOutput));
        return root;
    }

    private static InvocationConfiguration Configuration(CommandContext context) => new()
    {
        Output = context.Output,
        Error = context.Error,
        EnableDefaultExceptionHandler = false,
        ProcessTerminationTimeout = null, // no signal handlers of the library: signals are the engine's
    };

    /// <summary>
    /// For an exception on a thread of the engine's that nobody caught. The runtime would print its stack and abort; instead one
    /// sentence, and the end of the process lets a frozen target go (see Stasis.Remote).
    /// </summary>
    private static void EndAfter(Exception exception, CommandContext context)
    {
        int code = FailureReport.Tell(context, Failure.Of(exception), exception);
        Kernel.Call(Syscall.exit_group, code);
    }
}
