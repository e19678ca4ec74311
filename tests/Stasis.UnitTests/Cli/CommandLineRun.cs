using Stasis.Cli;
using Stasis.Cli.Commands;
using Stasis.Cli.Show;
using Stasis.Cli.Streams;
using Stasis.Engine;
using Stasis.State;

namespace Stasis.UnitTests.Cli;

/// <summary>One call of the command line with journeys of our own: what it asked them, what it said, how it ended.</summary>
internal sealed class CommandLineRun
{
    public static readonly CheckpointReport Checkpoint = new("job.image", 42, 2, 3, 9, 5 * 1024 * 1024, 6 * 1024 * 1024, 12.34567, 45.6789, false, []);
    public static readonly RestartReport Restarted = new(42, 2, 3, 7.5, true, 3);
    public static readonly CheckReport Checked = new(42, [new CheckedProcess(43, 42, "cat", 1, 3, 20, 1024), new CheckedProcess(42, 1, "bash", 2, 4, 30, 4096)], []);
    public static readonly Problem Problem = new(43, "cat", "descriptor 3 (socket:[7])", "it is a connection", "close it first");

    private readonly StringWriter _output = new() { NewLine = "\n" };
    private readonly StringWriter _error = new() { NewLine = "\n" };

    private CommandLineRun(string[] arguments, Func<object> outcome)
    {
        var journeys = new Journeys(
            request => { Asked = request; return (CheckpointReport)outcome(); },
            (request, started) =>
            {
                Asked = request;
                var report = (RestartReport)outcome();
                started?.Invoke(report with { ExitStatus = null });
                return report;
            },
            pid => { Asked = pid; return (CheckReport)outcome(); },
            directory => { Asked = directory; return (ImageView)outcome(); },
            request => { Asked = request; return (int)outcome(); });
        Code = Program.Invoke(arguments, new CommandContext(_output, _error), journeys);
    }

    public int Code { get; }
    public object? Asked { get; private set; }
    public string Output => _output.ToString();
    public string Error => _error.ToString();

    public static CommandLineRun Of(object outcome, params string[] arguments) => new(arguments, () => outcome);
    public static CommandLineRun Failing(Exception exception, params string[] arguments) => new(arguments, () => throw exception);

    /// <summary>The arguments never get as far as a journey.</summary>
    public static CommandLineRun OfNothing(params string[] arguments) => new(arguments, () => throw new InvalidOperationException("a journey began"));
}
