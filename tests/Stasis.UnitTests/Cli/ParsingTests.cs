using System.Net;
using System.Text.Json;
using Stasis.Engine;
using Stasis.Engine.Restart;
using Stasis.State;
using Stasis.State.Descriptors;

namespace Stasis.UnitTests.Cli;

public sealed class ParsingTests
{
    [Fact]
    public void Checkpoint_asks_what_was_said()
    {
        var run = CommandLineRun.Of(CommandLineRun.Checkpoint, "checkpoint", "42", "-o", "job.image", "--leave-running", "--save-files");
        Assert.Equivalent(new CheckpointRequest(42, "job.image", true, true, null), run.Asked, strict: true);
        Assert.Equal(0, run.Code);
        Assert.Equal("", run.Error);
    }

    [Fact]
    public void Restart_refuses_changed_files_unless_told_otherwise()
    {
        var run = CommandLineRun.Of(CommandLineRun.Restarted, "restart", "job.image");
        Assert.Equivalent(new RestartRequest("job.image", false, null, false, ChangedFilesPolicy.Refuse, ClockPolicy.Default, null), run.Asked, strict: true);
        Assert.Equal(3, run.Code);
    }

    [Fact]
    public void Restart_asks_what_was_said()
    {
        var run = CommandLineRun.Of(CommandLineRun.Restarted, "restart", "job.image", "--detach", "--pid-file", "pid", "--new-pid-namespace", "--changed-files", "rewind");
        Assert.Equivalent(new RestartRequest("job.image", true, "pid", true, ChangedFilesPolicy.Rewind, ClockPolicy.Default, null), run.Asked, strict: true);
        Assert.Equal(0, run.Code);
    }

    [Theory]
    [InlineData("continue", ClockPolicy.Continue)]
    [InlineData("real", ClockPolicy.Real)]
    public void Restart_asks_for_the_clock_that_was_said(string text, ClockPolicy policy)
    {
        var run = CommandLineRun.Of(CommandLineRun.Restarted, "restart", "job.image", "--clock", text);
        Assert.Equal(policy, Assert.IsType<RestartRequest>(run.Asked).Clock);
    }

    [Fact]
    public void Bindings_hooks_and_externals_are_collected()
    {
        var restart = Assert.IsType<RestartRequest>(CommandLineRun.Of(CommandLineRun.Restarted, "restart", "job.image", "--bind", "file:/a/=/b", "--bind", "fd:7/3=fd:9",
            "--bind", "pty:/dev/pts/1=/dev/pts/2", "--bind", "fd:my shell/4=/x=y", "--hook", "one", "--hook", "two").Asked);
        Assert.Equal([new PathBinding("/a", "/b"), new DescriptorBinding("7", 3, "", 9), new TerminalBinding("/dev/pts/1", "/dev/pts/2"), new DescriptorBinding("my shell", 4, "/x=y", -1)], restart.Bindings);
        Assert.Equal(["one", "two"], restart.Hooks);
        var checkpoint = Assert.IsType<CheckpointRequest>(CommandLineRun.Of(CommandLineRun.Checkpoint, "checkpoint", "42", "-o", "x", "--external", "42/3", "--external", "43/4").Asked);
        Assert.Equal([new ExternalDescriptor(42, 3), new ExternalDescriptor(43, 4)], checkpoint.External);
    }

    [Theory]
    [InlineData("keep", TcpPolicy.Keep)]
    [InlineData("close", TcpPolicy.Close)]
    public void Connections_go_on_or_end(string text, TcpPolicy policy)
    {
        Assert.Equal(policy, Assert.IsType<RestartRequest>(CommandLineRun.Of(CommandLineRun.Restarted, "restart", "job.image", "--tcp", text).Asked).Tcp);
        Assert.Equal(TcpPolicy.Keep, Assert.IsType<RestartRequest>(CommandLineRun.Of(CommandLineRun.Restarted, "restart", "job.image").Asked).Tcp);
    }

    [Fact]
    public void Addresses_are_bound_within_their_family()
    {
        var restart = Assert.IsType<RestartRequest>(CommandLineRun.Of(CommandLineRun.Restarted, "restart", "x", "--bind", "address:10.0.0.5=10.0.0.7", "--bind", "address:fd00::1=fd00::2").Asked);
        Assert.Equal([new AddressBinding(IPAddress.Parse("10.0.0.5"), IPAddress.Parse("10.0.0.7")), new AddressBinding(IPAddress.Parse("fd00::1"), IPAddress.Parse("fd00::2"))], restart.Bindings);
    }

    [Theory]
    [InlineData("/a", "/b", "/a/c", "/b/c")]
    [InlineData("/a", "/b", "/a", "/b")]
    [InlineData("/a", "/b", "/ab", null)]
    [InlineData("/", "/b", "/a", "/b/a")]
    [InlineData("/a", "/", "/a/c", "/c")]
    public void A_path_moves_with_the_directory_that_it_lies_in(string old, string replacement, string path, string? moved) =>
        Assert.Equal(moved, new PathBinding(old, replacement).Move(path));

    [Theory]
    [InlineData("checkpoint 42 -o x --external 42")]
    [InlineData("checkpoint 42 -o x --external 42/-1")]
    [InlineData("restart x --clock never")]
    [InlineData("restart x --tcp maybe")]
    [InlineData("restart x --bind address:10.0.0.5=fd00::1")]
    [InlineData("restart x --bind address:here=there")]
    [InlineData("restart x --bind-file /nonexistent/file")]
    public void What_is_none_of_the_forms_is_a_usage_error(string line) => Assert.Equal(64, CommandLineRun.Of(7, line.Split(' ')).Code);

    [Theory]
    [InlineData("run sh -c exit --json", "sh -c exit --json")]
    [InlineData("run -- sh -- x", "sh -- x")]
    [InlineData("run --pid-file p -- ls -la --help", "ls -la --help")]
    [InlineData("run --pid-file p ls --pid-file q -q", "ls --pid-file q -q")]
    [InlineData("run ls @list", "ls @list")]
    [InlineData("run ls -- --version", "ls -- --version")]
    [InlineData("run -- --help", "--help")]
    public void Run_passes_its_command_as_it_stands(string line, string command)
    {
        var run = CommandLineRun.Of(7, line.Split(' '));
        var request = Assert.IsType<RunRequest>(run.Asked);
        Assert.Equal(command, string.Join(' ', request.Command));
        Assert.Equal(line.Contains("--pid-file p") ? "p" : null, request.PidFile);
        Assert.Equal(7, run.Code);
    }

    [Theory]
    [InlineData("", "a verb is needed")]
    [InlineData("frobnicate", "no verb 'frobnicate'")]
    [InlineData("chekpoint 1 -o x", "did you mean checkpoint?")]
    [InlineData("--frobnicate", "no option '--frobnicate'")]
    [InlineData("checkpoint", "checkpoint needs")]
    [InlineData("checkpoint 1", "checkpoint needs -o DIR")]
    [InlineData("checkpoint -o x", "checkpoint needs PID")]
    [InlineData("checkpoint x -o y", "'x' is not a process id")]
    [InlineData("checkpoint 0 -o y", "'0' is not a process id")]
    [InlineData("checkpoint -5 -o y", "'-5' is not a process id")]
    [InlineData("checkpoint 4194305 -o y", "'4194305' is not a process id")]
    [InlineData("checkpoint 1 2 -o y", "'2'")]
    [InlineData("checkpoint 1 -o y --no-such-option", "--no-such-option")]
    [InlineData("restart", "restart needs DIR")]
    [InlineData("restart d --changed-files perhaps", "not 'perhaps'")]
    [InlineData("restart d --pid-file", "--pid-file needs FILE")]
    [InlineData("check", "check needs PID")]
    [InlineData("show", "show needs DIR")]
    [InlineData("run", "run needs COMMAND")]
    [InlineData("run --", "run needs COMMAND")]
    public void What_is_not_understood_ends_with_64_and_one_sentence(string line, string expected)
    {
        string[] arguments = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var run = CommandLineRun.OfNothing(arguments);
        Assert.Equal(64, run.Code);
        Assert.Null(run.Asked);
        Assert.Equal("", run.Output);
        string[] lines = run.Error.TrimEnd('\n').Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.StartsWith("stasis: ", lines[0]);
        Assert.Contains(expected, lines[0]);
        Assert.StartsWith("usage: stasis ", lines[1]);
        Assert.EndsWith("--help` explains it.", lines[2]);
    }

    [Fact]
    public void An_empty_path_is_a_usage_error() => Assert.Equal(64, CommandLineRun.OfNothing("checkpoint", "1", "-o", "").Code);

    [Theory]
    [InlineData("check --json")]
    [InlineData("--json check")]
    [InlineData("checkpoint 1 --json")]
    [InlineData("run --json")]
    public void A_usage_error_is_json_when_json_was_asked_for(string line)
    {
        var run = CommandLineRun.OfNothing(line.Split(' '));
        Assert.Equal(64, run.Code);
        Assert.Equal("", run.Error);
        using JsonDocument document = JsonDocument.Parse(run.Output);
        Assert.Equal("usage", document.RootElement.GetProperty("error").GetProperty("kind").GetString());
        Assert.Equal(0, document.RootElement.GetProperty("error").GetProperty("problems").GetArrayLength());
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("-h")]
    [InlineData("checkpoint --help")]
    [InlineData("restart --help")]
    [InlineData("check --help")]
    [InlineData("show --help")]
    [InlineData("run --help")]
    public void Help_has_a_usage_line_options_and_examples_within_80_columns(string line)
    {
        var run = CommandLineRun.OfNothing(line.Split(' '));
        Assert.Equal(0, run.Code);
        Assert.Equal("", run.Error);
        Assert.Contains("Usage:\n  stasis ", run.Output);
        Assert.Contains("--json", run.Output);
        Assert.Contains("Examples:\n  stasis ", run.Output);
        Assert.DoesNotContain(run.Output.Split('\n'), text => text.StartsWith("      ") && text.Length > 80);
    }

    [Fact]
    public void Help_of_the_root_tells_every_exit_code()
    {
        string help = CommandLineRun.OfNothing("--help").Output;
        Assert.All(["0 ", "64 ", "65 ", "69 ", "70 ", "77 "], code => Assert.Contains($"\n  {code}", help));
    }

    [Fact]
    public void The_version_is_that_of_the_build() =>
        Assert.Equal(StasisEngine.Version, typeof(StasisEngine).Assembly.GetName().Version!.ToString(3));

    [Fact]
    public void Version_is_one_line() => Assert.Matches(@"^stasis \d+\.\d+\.\d+\n$", CommandLineRun.OfNothing("--version").Output);
}
