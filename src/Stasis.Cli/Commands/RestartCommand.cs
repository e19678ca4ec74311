using System.CommandLine;
using System.CommandLine.Parsing;
using Stasis.Cli.CommandLine;
using Stasis.Cli.Failures;
using Stasis.Cli.Json;
using Stasis.Cli.Streams;
using Stasis.Cli.Text;
using Stasis.Engine;
using Stasis.Engine.Restart;
using Stasis.State;
using Stasis.State.Descriptors;

namespace Stasis.Cli.Commands;

/// <summary>`stasis restart DIR`: a tree comes back from its image.</summary>
internal static class RestartCommand
{
    public static Command Define(CommandContext context, Journeys journeys)
    {
        var directory = new Argument<string>("DIR") { CustomParser = PathText.Parse, Description = "The image." };
        var detach = new Option<bool>("--detach") { Description = "Return as soon as everything runs, instead of waiting for the program." };
        var pidFile = new Option<string?>("--pid-file") { HelpName = "FILE", CustomParser = PathText.Parse, Description = "Write the pid of the root process here once everything runs." };
        var newPidNamespace = new Option<bool>("--new-pid-namespace") { Description = "Bring the tree back in a pid namespace of its own, for when its process ids are taken." };
        var changedFiles = new Option<ChangedFilesPolicy>("--changed-files")
        {
            HelpName = "refuse|rewind|keep",
            Description = "For a file open for writing that is not what it was at the checkpoint: refuse the restart (the default), rewind the file to what it was, or keep it and go on with it as it is.",
            CustomParser = ParsePolicy,
            DefaultValueFactory = _ => ChangedFilesPolicy.Refuse,
        };
        var clock = new Option<ClockPolicy>("--clock")
        {
            HelpName = "continue|real",
            Description = "Whether CLOCK_MONOTONIC, CLOCK_BOOTTIME and the timers on them go on from where they were (the default, where rights allow), or the time on disk has passed for them. The wall clock is always the real one.",
            CustomParser = ParseClock,
            DefaultValueFactory = _ => ClockPolicy.Default,
        };
        var bind = new Option<Binding[]>("--bind") { HelpName = "WHAT=WITH", CustomParser = BindingText.Parse, Description = $"Put something else in the place of what was: {Binding.Forms}. May be given several times." };
        var bindFile = new Option<Binding[]>("--bind-file") { HelpName = "FILE", CustomParser = BindingText.ParseFile, Description = "The same from a file, one a line; # begins a comment." };
        var tcp = new Option<TcpPolicy>("--tcp")
        {
            HelpName = "keep|close",
            Description = "Whether TCP connections to programs outside of the image go on (the default), or come back as if the other side had reset them.",
            CustomParser = ParseTcp,
            DefaultValueFactory = _ => TcpPolicy.Keep,
        };
        Option<string[]> hook = CommonOptions.Hook("planned, built, running");
        var verb = new Verb("restart", "Brings a saved process and its descendants back, with their memory, files and process ids.")
        {
            Usage = "restart DIR [--detach] [--pid-file FILE] [--new-pid-namespace] [--changed-files POLICY] [--clock POLICY] [--tcp POLICY] [--bind WHAT=WITH]... [--hook PROGRAM]...",
            Notes =
            [
                "In the foreground the program has this terminal and these standard streams where its own no longer exist, signals are passed on to it, and stasis ends as the program ends, with its exit code.",
                "Everything is checked first; if something can't be rebuilt here, every problem is listed and nothing has been created.",
            ],
            Examples =
            [
                new("stasis restart job.image", "Bring it back and wait for its end."),
                new("stasis restart job.image --detach --pid-file job.pid", "Bring it back in the background and note its pid."),
                new("stasis restart job.image --new-pid-namespace", "When other processes have its ids by now."),
                new("stasis restart job.image --changed-files rewind", "When the original ran on and wrote to its files: put them back first."),
                new("stasis restart job.image --bind file:/data=/mnt/data", "When its files lie at another place by now."),
                new("stasis restart job.image --bind address:10.0.0.5=10.0.0.7", "When this host has another internet address."),
                new("stasis restart job.image --clock real", "Let its timers know how long it lay on disk."),
            ],
        };
        verb.Arguments.Add(directory);
        foreach (Option option in (Option[])[detach, pidFile, newPidNamespace, changedFiles, clock, tcp, bind, bindFile, hook]) verb.Options.Add(option);
        verb.SetAction(parsed =>
        {
            var request = new RestartRequest(parsed.GetValue(directory)!, parsed.GetValue(detach), parsed.GetValue(pidFile),
                parsed.GetValue(newPidNamespace), parsed.GetValue(changedFiles), parsed.GetValue(clock), null)
            {
                Bindings = [.. parsed.GetValue(bindFile) ?? [], .. parsed.GetValue(bind) ?? []],
                Hooks = parsed.GetValue(hook) ?? [],
                Tcp = parsed.GetValue(tcp),
            };
            return Run(request, CommonOptions.Apply(parsed, context), journeys.Restart);
        });
        return verb;
    }

    private static ChangedFilesPolicy ParsePolicy(ArgumentResult result)
    {
        string text = result.Tokens is [var token] ? token.Value : "";
        switch (text)
        {
            case "refuse": return ChangedFilesPolicy.Refuse;
            case "rewind": return ChangedFilesPolicy.Rewind;
            case "keep": return ChangedFilesPolicy.Keep;
            default:
                result.AddError($"--changed-files takes refuse, rewind or keep, not '{text}'");
                return default;
        }
    }

    private static ClockPolicy ParseClock(ArgumentResult result)
    {
        switch (result.Tokens is [var token] ? token.Value : "")
        {
            case "continue": return ClockPolicy.Continue;
            case "real": return ClockPolicy.Real;
            case var text:
                result.AddError($"--clock takes continue or real, not '{text}'");
                return default;
        }
    }

    private static TcpPolicy ParseTcp(ArgumentResult result)
    {
        switch (result.Tokens is [var token] ? token.Value : "")
        {
            case "keep": return TcpPolicy.Keep;
            case "close": return TcpPolicy.Close;
            case var text:
                result.AddError($"--tcp takes keep or close, not '{text}'");
                return default;
        }
    }

    /// <summary>The report comes as soon as the tree runs: in the foreground the streams belong to the program from then on.</summary>
    public static int Run(RestartRequest request, CommandContext context, RestartJourney restart) => FailureReport.Guard(context, () =>
    {
        TerminalProgress? progress = context.Progress("restart");
        bool told = false;
        try
        {
            RestartReport report = restart(request with { Progress = progress }, Started);
            if (!told) Started(report);
            return request.Detach ? ExitCode.Done : report.ExitStatus ?? ExitCode.Done;
        }
        finally { progress?.Dispose(); }

        void Started(RestartReport report)
        {
            told = true;
            progress?.Dispose();
            FailureReport.TellDone(context, () => Tell(report, request, context));
        }
    });

    private static void Tell(RestartReport report, RestartRequest request, CommandContext context)
    {
        if (context.Json) CliJson.Write(context.Output, report with { TotalMilliseconds = Math.Round(report.TotalMilliseconds, 3) }, CliJson.Readable.RestartReport);
        else if (Remarks(request.Detach, context) is { } remarks)
        {
            remarks.WriteLine($"Restarted as pid {report.Pid}: {Quantity.Processes(report.Processes)}, {Quantity.Threads(report.Threads)}, in {Quantity.Milliseconds(report.TotalMilliseconds)}.");
            if (!report.ClocksGoOn && request.Clock == ClockPolicy.Default)
                remarks.WriteLine("Its clocks are this host's: to let them go on from where they were takes CAP_SYS_TIME and CAP_SYS_ADMIN.");
            if (report.TcpKept > 0) remarks.WriteLine($"{Quantity.Connections(report.TcpKept)} to programs outside of it {(report.TcpKept == 1 ? "goes" : "go")} on (--tcp keep).");
            if (report.TcpClosed > 0) remarks.WriteLine($"{Quantity.Connections(report.TcpClosed)} to programs outside of it {(report.TcpClosed == 1 ? "has" : "have")} been ended (--tcp close).");
            if (report.NewAuditSession) remarks.WriteLine("Its audit session has another number than before, which the kernel gives out itself.");
            remarks.Flush();
        }
    }

    /// <summary>In the foreground the output and a redirected error stream are the program's own and stay free of our words.</summary>
    private static TextWriter? Remarks(bool detached, CommandContext context)
    {
        if (context.Quiet) return null;
        if (detached) return context.Output;
        return context.ErrorTerminal is null ? null : context.Error;
    }
}
