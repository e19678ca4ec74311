using System.CommandLine;
using Stasis.Cli.CommandLine;
using Stasis.Cli.Failures;
using Stasis.Cli.Json;
using Stasis.Cli.Streams;
using Stasis.Engine;

namespace Stasis.Cli.Commands;

/// <summary>`stasis bench-tape`, hidden: what a system call in another process costs, by tape and injected one by one.</summary>
internal static class BenchTapeCommand
{
    public static Command Define(CommandContext context)
    {
        var verb = new Verb("bench-tape", "Measures what a system call in another process costs.") { Usage = "bench-tape", Notes = [], Examples = [], Hidden = true };
        verb.SetAction(parsed => Run(CommonOptions.Apply(parsed, context)));
        return verb;
    }

    private static int Run(CommandContext context) => FailureReport.Guard(context, () =>
    {
        TapeBenchReport report = StasisEngine.BenchTape();
        if (context.Json) CliJson.Write(context.Output, report, CliJson.Readable.TapeBenchReport);
        else context.Output.WriteLine($"By tape {report.TapeNanosecondsPerCall:0} ns a call, injected {report.InjectedNanosecondsPerCall:0} ns a call.");
        return ExitCode.Done;
    });
}
