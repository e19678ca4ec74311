using System.CommandLine;
using Stasis.Cli.CommandLine;
using Stasis.Cli.Failures;
using Stasis.Cli.Json;
using Stasis.Cli.Streams;
using Stasis.Cli.Text;
using Stasis.Engine;

namespace Stasis.Cli.Commands;

/// <summary>`stasis check PID`: what a checkpoint would take and everything in its way, with nothing touched.</summary>
internal static class CheckCommand
{
    private const int LongestName = 40;

    public static Command Define(CommandContext context, Journeys journeys)
    {
        Argument<int> pid = ProcessId.Argument("The process to look at, with all its descendants.");
        var verb = new Verb("check", "Shows what a checkpoint of a process would take, and every problem there is. Nothing is touched and nothing is frozen.")
        {
            Usage = "check PID",
            Notes = ["Ends with 0 when nothing stands in the way and with 69 when something does."],
            Examples =
            [
                new("stasis check 4242", "Would a checkpoint of process 4242 and its descendants work?"),
                new("stasis check 4242 --json | jq -r '.problems[].why'", "Only the reasons against it."),
            ],
        };
        verb.Arguments.Add(pid);
        verb.SetAction(parsed => Run(parsed.GetValue(pid), CommonOptions.Apply(parsed, context), journeys.Check));
        return verb;
    }

    public static int Run(int pid, CommandContext context, Func<int, CheckReport> check) => FailureReport.Guard(context, () =>
    {
        CheckReport report = check(pid);
        if (context.Json) CliJson.Write(context.Output, report, CliJson.Readable.CheckReport);
        else if (!context.Quiet) WriteText(context.Output, report);
        return report.Problems.Count == 0 ? ExitCode.Done : ExitCode.Refused;
    });

    private static void WriteText(TextWriter output, CheckReport report)
    {
        WriteTree(output, report.Processes);
        output.WriteLine();
        if (report.Problems.Count == 0)
        {
            output.WriteLine("Nothing stands in the way.");
            return;
        }
        output.WriteLine($"{Quantity.Problems(report.Problems.Count)} {(report.Problems.Count == 1 ? "stands" : "stand")} in the way of a checkpoint:");
        FailureReport.WriteProblems(output, report.Problems);
    }

    private static void WriteTree(TextWriter output, IReadOnlyList<CheckedProcess> processes)
    {
        var table = new TextTable("PROCESS", ">PID", ">THREADS", ">DESCRIPTORS", ">MAPPINGS", ">MEMORY");
        foreach ((CheckedProcess process, int depth) in ProcessTree.InOrder(processes, item => item.Pid, item => item.ParentPid))
        {
            table.Add(ProcessTree.Indented(Printable.Of(process.Command, LongestName), depth), $"{process.Pid}", $"{process.Threads}",
                $"{process.Descriptors}", $"{process.Mappings}", Quantity.Bytes(process.ResidentBytes));
        }
        if (processes.Count > 1)
        {
            table.Add($"{processes.Count} processes", "", $"{processes.Sum(process => process.Threads)}", $"{processes.Sum(process => process.Descriptors)}",
                $"{processes.Sum(process => process.Mappings)}", Quantity.Bytes(processes.Sum(process => process.ResidentBytes)));
        }
        table.Write(output);
    }
}
