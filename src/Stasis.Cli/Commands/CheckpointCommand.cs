using System.CommandLine;
using System.CommandLine.Parsing;
using Stasis.Cli.CommandLine;
using Stasis.Cli.Failures;
using Stasis.Cli.Json;
using Stasis.Cli.Show;
using Stasis.Cli.Streams;
using Stasis.Cli.Text;
using Stasis.Engine;
using Stasis.State;
using Stasis.State.Descriptors;

namespace Stasis.Cli.Commands;

/// <summary>`stasis checkpoint PID -o DIR`: a process and its descendants go to disk.</summary>
internal static class CheckpointCommand
{
    public static Command Define(CommandContext context, Journeys journeys)
    {
        Argument<int> pid = ProcessId.Argument("The process to take; all its descendants go with it.");
        var directory = new Option<string>("-o", "--output") { HelpName = "DIR", Required = true, CustomParser = PathText.Parse, Description = "Where the image goes: a directory that does not exist yet." };
        var leaveRunning = new Option<bool>("--leave-running") { Description = "Let the processes go on afterwards. Without it they are ended, but only once the image is complete on disk." };
        var saveFiles = new Option<bool>("--save-files") { Description = "Put the content of regular files that are open for writing into the image too." };
        var external = new Option<ExternalDescriptor[]>("--external") { HelpName = "PID/NUMBER", CustomParser = ExternalText.Parse, Description = "Leave this descriptor out; a restart is told with --bind what takes its place. May be given several times." };
        var outsideSockets = new Option<OutsideSocketPolicy>("--outside-sockets")
        {
            HelpName = "refuse|close",
            Description = "For a local connection to a program that is not checkpointed: refuse the checkpoint (the default), or let the restarted program find it closed by the other side.",
            CustomParser = ParsePolicy,
            DefaultValueFactory = _ => OutsideSocketPolicy.Refuse,
        };
        Option<string[]> hook = CommonOptions.Hook("before-freeze, frozen, written, done");
        var verb = new Verb("checkpoint", "Saves a running process and all its descendants in an image, from which `stasis restart` brings them back.")
        {
            Usage = "checkpoint PID -o DIR [--leave-running] [--save-files] [--outside-sockets POLICY] [--external PID/NUMBER]... [--hook PROGRAM]...",
            Notes =
            [
                "The program needs no preparation. If anything in it can't be carried, everything that stands in the way is listed and nothing is touched; `stasis check PID` tells beforehand.",
                "A program can ask for itself: `stasis checkpoint $$ -o DIR` in a script ends with 0 in the life that goes on, which is never ended by it, and with 10 in each life that a restart begins.",
            ],
            Examples =
            [
                new("stasis checkpoint 4242 -o job.image", "Save process 4242 and its descendants, then end them."),
                new("stasis checkpoint 4242 -o job.image --leave-running", "Save them and let them go on."),
                new("stasis checkpoint $(pidof -s simulate) -o /backup/run7 --leave-running --save-files", "Also save what they have written so far, so that a restart can put the files back."),
                new("stasis checkpoint $$ -o step3; case $? in 0) echo went on;; 10) echo came back;; esac", "In a script: save it between two steps, and tell in which life it is."),
            ],
        };
        verb.Arguments.Add(pid);
        verb.Options.Add(directory);
        verb.Options.Add(leaveRunning);
        verb.Options.Add(saveFiles);
        verb.Options.Add(outsideSockets);
        verb.Options.Add(external);
        verb.Options.Add(hook);
        verb.SetAction(parsed =>
        {
            var request = new CheckpointRequest(parsed.GetValue(pid), parsed.GetValue(directory)!, parsed.GetValue(leaveRunning), parsed.GetValue(saveFiles), null)
            {
                External = parsed.GetValue(external) ?? [],
                OutsideSockets = parsed.GetValue(outsideSockets),
                Hooks = parsed.GetValue(hook) ?? [],
            };
            return Run(request, CommonOptions.Apply(parsed, context), journeys.Checkpoint);
        });
        return verb;
    }

    private static OutsideSocketPolicy ParsePolicy(ArgumentResult result)
    {
        string text = result.Tokens is [var token] ? token.Value : "";
        if (text is not ("refuse" or "close")) result.AddError($"--outside-sockets takes refuse or close, not '{text}'");
        return text == "close" ? OutsideSocketPolicy.Close : OutsideSocketPolicy.Refuse;
    }

    public static int Run(CheckpointRequest request, CommandContext context, Func<CheckpointRequest, CheckpointReport> checkpoint) => FailureReport.Guard(context, () =>
    {
        CheckpointReport report;
        using (TerminalProgress? progress = context.Progress("checkpoint")) report = checkpoint(request with { Progress = progress });
        FailureReport.TellDone(context, () => Tell(report, context));
        return ExitCode.Done;
    });

    private static void Tell(CheckpointReport report, CommandContext context)
    {
        if (context.Json) CliJson.Write(context.Output, Rounded(report), CliJson.Readable.CheckpointReport);
        else if (!context.Quiet) WriteText(context.Output, report);
    }

    private static CheckpointReport Rounded(CheckpointReport report) => report with
    {
        FreezeMilliseconds = Math.Round(report.FreezeMilliseconds, 3),
        TotalMilliseconds = Math.Round(report.TotalMilliseconds, 3),
    };

    private static void WriteText(TextWriter output, CheckpointReport report)
    {
        string what = $"{Quantity.Processes(report.Processes)}, {Quantity.Threads(report.Threads)}, {Quantity.Descriptors(report.Descriptors)}, {Quantity.Bytes(report.MemoryBytes)} of memory";
        output.WriteLine($"Process {report.Pid} is saved in {Printable.Of(report.Image)}: {what}; {Quantity.Bytes(report.ImageBytes)} on disk, in {Quantity.Milliseconds(report.TotalMilliseconds)}.");
        string after = report.OfItself ? "and goes on; in each life that a restart begins, this command ends with 10" : report.LeftRunning ? "and goes on running" : "and has been ended";
        foreach (Loss loss in report.Losses) output.WriteLine($"Not as it was: {ImageText.Words(loss)}.");
        if (report.OuterTcpConnections > 0 && !report.LeftRunning)
            output.WriteLine($"{Quantity.Connections(report.OuterTcpConnections)} to programs outside of it {(report.OuterTcpConnections == 1 ? "is" : "are")} held still until the restart.");
        output.WriteLine($"It was frozen for {Quantity.Milliseconds(report.FreezeMilliseconds)} {after}. To bring it back: stasis restart {Printable.ShellWord(report.Image)}");
    }
}
