using System.CommandLine;
using Stasis.Cli.CommandLine;
using Stasis.Cli.Failures;
using Stasis.Cli.Streams;
using Stasis.Engine;

namespace Stasis.Cli.Commands;

/// <summary>`stasis run COMMAND…`: a command in namespaces of its own, where its ids are always free at a restart.</summary>
internal static class RunCommand
{
    public static Command Define(CommandContext context, Journeys journeys)
    {
        var command = new Argument<string[]>("COMMAND")
        {
            Description = "The command and its arguments, exactly as they stand.",
            Arity = ArgumentArity.OneOrMore,
            CaptureRemainingTokens = true,
        };
        var pidFile = new Option<string?>("--pid-file") { HelpName = "FILE", CustomParser = PathText.Parse, Description = "Write the pid of COMMAND here: the one to give to `stasis checkpoint`." };
        var verb = new Verb("run", "Starts a command in a pid and mount namespace of its own, with a minimal init, so that its process ids are always free at a restart.")
        {
            Usage = "run [--pid-file FILE] [--] COMMAND…",
            Notes = ["This is not needed for a checkpoint: any process can be taken. stasis ends as the command ends, with its exit code."],
            Examples =
            [
                new("stasis run ./simulate --steps 1000000", "Run it to its end."),
                new("stasis run --pid-file job.pid -- make -j4 &", "Run it in the background and note its pid, then:"),
                new("stasis checkpoint $(cat job.pid) -o job.image", "save it, with its namespace;"),
                new("stasis restart job.image", "and bring both back."),
            ],
        };
        verb.Arguments.Add(command);
        verb.Options.Add(pidFile);
        verb.SetAction(parsed =>
            Run(new RunRequest(parsed.GetValue(command)!, parsed.GetValue(pidFile)), CommonOptions.Apply(parsed, context), journeys.Run));
        return verb;
    }

    public static int Run(RunRequest request, CommandContext context, Func<RunRequest, int> run) => FailureReport.Guard(context, () => run(request));
}
