using System.Text.Json;
using Stasis.Cli;
using Stasis.Cli.Commands;
using Stasis.Cli.Streams;
using Stasis.Engine;
using Stasis.Image;
using Stasis.Linux;

namespace Stasis.UnitTests.Cli;

public sealed class OutputTests
{
    private static JsonElement Json(CommandLineRun run)
    {
        Assert.Equal(1, run.Output.Count(c => c == '\n'));
        return JsonDocument.Parse(run.Output).RootElement;
    }

    [Fact]
    public void A_checkpoint_says_what_happened_and_what_to_do_next()
    {
        string output = CommandLineRun.Of(CommandLineRun.Checkpoint, "checkpoint", "42", "-o", "job.image").Output;
        Assert.Equal("""
            Process 42 is saved in job.image: 2 processes, 3 threads, 9 descriptors, 5.0 MiB of memory; 6.0 MiB on disk, in 46 ms.
            It was frozen for 12 ms and has been ended. To bring it back: stasis restart job.image

            """, output, ignoreLineEndingDifferences: true);
    }

    [Fact]
    public void A_path_that_a_shell_would_take_apart_is_quoted() =>
        Assert.Contains("stasis restart 'my job'\\''s image'", CommandLineRun.Of(CommandLineRun.Checkpoint with { Image = "my job's image" }, "checkpoint", "42", "-o", "x").Output);

    [Fact]
    public void Checkpoint_as_json_has_these_fields()
    {
        JsonElement json = Json(CommandLineRun.Of(CommandLineRun.Checkpoint, "checkpoint", "42", "-o", "x", "--json"));
        Assert.Equal(["image", "pid", "processes", "threads", "descriptors", "memoryBytes", "imageBytes", "freezeMilliseconds", "totalMilliseconds", "leftRunning", "losses", "outerTcpConnections", "ofItself"],
            json.EnumerateObject().Select(property => property.Name));
        Assert.Equal(12.346, json.GetProperty("freezeMilliseconds").GetDouble());
        Assert.False(json.GetProperty("leftRunning").GetBoolean());
    }

    [Fact]
    public void Quiet_says_nothing()
    {
        var run = CommandLineRun.Of(CommandLineRun.Checkpoint, "checkpoint", "42", "-o", "x", "--quiet");
        Assert.Equal(("", ""), (run.Output, run.Error));
    }

    [Fact]
    public void A_foreground_restart_leaves_the_streams_to_the_program()
    {
        var run = CommandLineRun.Of(CommandLineRun.Restarted, "restart", "x");
        Assert.Equal(("", "", 3), (run.Output, run.Error, run.Code));
    }

    [Fact]
    public void A_detached_restart_tells_the_pid_once()
    {
        var run = CommandLineRun.Of(CommandLineRun.Restarted with { ExitStatus = null }, "restart", "x", "--detach");
        Assert.Equal("Restarted as pid 42: 2 processes, 3 threads, in 7.5 ms.\n", run.Output);
        Assert.Equal(0, run.Code);
    }

    [Fact]
    public void Check_shows_the_tree_below_its_root()
    {
        var run = CommandLineRun.Of(CommandLineRun.Checked, "check", "42");
        Assert.Equal(0, run.Code);
        string[] lines = run.Output.Split('\n');
        Assert.StartsWith("PROCESS", lines[0]);
        Assert.StartsWith("bash ", lines[1]);
        Assert.StartsWith("  cat ", lines[2]);
        Assert.EndsWith("5.0 KiB", lines[3]);
        Assert.EndsWith("Nothing stands in the way.\n", run.Output);
    }

    [Fact]
    public void Check_lists_every_problem_and_ends_with_69()
    {
        var run = CommandLineRun.Of(CommandLineRun.Checked with { Problems = [CommandLineRun.Problem, CommandLineRun.Problem with { Pid = 0, Object = "" }] }, "check", "42");
        Assert.Equal(69, run.Code);
        Assert.Contains("2 problems stand in the way", run.Output);
        Assert.Contains("1. cat (pid 43), descriptor 3 (socket:[7])\n     Why: it is a connection.\n     What to do: close it first.\n", run.Output);
        Assert.Contains("2. this host\n", run.Output);
    }

    [Fact]
    public void Problems_that_differ_only_in_the_object_share_their_words()
    {
        var run = CommandLineRun.Of(CommandLineRun.Checked with { Problems = [CommandLineRun.Problem, CommandLineRun.Problem with { Object = "descriptor 4" }] }, "check", "42");
        Assert.Contains("2 problems", run.Output);
        Assert.Contains("1. cat (pid 43)\n       descriptor 3 (socket:[7])\n       descriptor 4\n     Why: it is a connection.\n", run.Output);
        Assert.DoesNotContain("2. ", run.Output);
    }

    [Fact]
    public void Check_as_json_is_the_report()
    {
        var run = CommandLineRun.Of(CommandLineRun.Checked with { Problems = [CommandLineRun.Problem] }, "check", "42", "--json");
        Assert.Equal(69, run.Code);
        JsonElement json = Json(run);
        Assert.Equal(43, json.GetProperty("processes")[0].GetProperty("pid").GetInt32());
        Assert.Equal("it is a connection", json.GetProperty("problems")[0].GetProperty("why").GetString());
    }

    [Fact]
    public void A_refusal_lists_every_problem_on_the_error_stream()
    {
        var run = CommandLineRun.Failing(new Refused("process 42 (bash) can't be checkpointed", [CommandLineRun.Problem]), "checkpoint", "42", "-o", "x");
        Assert.Equal(69, run.Code);
        Assert.Equal("", run.Output);
        Assert.StartsWith("stasis: process 42 (bash) can't be checkpointed: 1 problem; nothing was touched.\n", run.Error);
        Assert.Contains("What to do: close it first.", run.Error);
    }

    public static readonly TheoryData<Exception, int, string> Failures = new()
    {
        { new StasisFailure(FailureKind.Failed, "it went wrong"), 70, "failed" },
        { new StasisFailure(FailureKind.NotPermitted, "no right"), 77, "notPermitted" },
        { new StasisFailure(FailureKind.BadImage, "broken"), 65, "badImage" },
        { new BadImage("broken"), 65, "badImage" },
        { new Refused("no", [CommandLineRun.Problem]), 69, "refused" },
        { new KernelRefusal("write of pages.bin", Errno.ENOSPC), 70, "failed" },
        { new KernelRefusal("ptrace", Errno.EPERM, "process 4"), 77, "notPermitted" },
        { new AggregateException(new StasisFailure(FailureKind.BadImage, "broken")), 65, "badImage" },
        { new NullReferenceException(), 70, "failed" },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public void Every_failure_has_its_code_and_its_kind(Exception exception, int code, string kind)
    {
        var run = CommandLineRun.Failing(exception, "show", "x", "--json");
        Assert.Equal(code, run.Code);
        Assert.Equal(kind, Json(run).GetProperty("error").GetProperty("kind").GetString());
        var text = CommandLineRun.Failing(exception, "show", "x");
        Assert.Equal(code, text.Code);
        Assert.StartsWith("stasis: ", text.Error);
        Assert.DoesNotContain("   at ", text.Error);
    }

    [Fact]
    public void An_error_number_is_told_in_words() =>
        Assert.Equal("stasis: write of pages.bin: no space left on device (ENOSPC).\n", CommandLineRun.Failing(new KernelRefusal("write of pages.bin", Errno.ENOSPC), "show", "x").Error);

    [Fact]
    public void Names_do_not_steer_the_terminal()
    {
        var evil = new CheckedProcess(42, 1, "a\x1b[2J\nb\u202e", 1, 1, 1, 1);
        string output = CommandLineRun.Of(new CheckReport(42, [evil], []), "check", "42").Output;
        Assert.DoesNotContain('\x1b', output);
        Assert.DoesNotContain('\u202e', output);
        Assert.Contains("a\\u001b[2J\\nb\\u202e", output);
    }

    [Fact]
    public void A_full_disk_behind_the_output_does_not_undo_a_checkpoint_but_fails_a_show()
    {
        int full = Files.Open("/dev/full", OpenFlags.O_WRONLY).Descriptor;
        using var closes = new DescriptorHandle(full);
        var error = new StringWriter();
        var journeys = new Journeys(_ => CommandLineRun.Checkpoint, (_, _) => CommandLineRun.Restarted, _ => CommandLineRun.Checked, _ => throw new InvalidOperationException(), _ => 0);
        int Code(params string[] arguments) => Program.Invoke(arguments, new CommandContext(new DescriptorWriter(full, isError: false), error), journeys);
        Assert.Equal(0, Code("checkpoint", "42", "-o", "x", "--json"));
        Assert.Contains("could not be told", error.ToString());
        Assert.Equal(70, Code("check", "42"));
        Assert.Equal(70, Code("check", "42", "--json"));
        Assert.Equal(70, Code("--help"));
        Assert.Equal(64, Code("check", "--json"));
    }

    [Fact]
    public void Text_goes_to_the_shared_offset_of_the_descriptor()
    {
        int file = Files.MemoryFile("output", 0).Descriptor;
        using var closes = new DescriptorHandle(file);
        using (var writer = new DescriptorWriter(file, isError: false)) { writer.Write("one "); writer.Flush(); }
        Files.WriteAll(file, "two "u8);
        using (var writer = new DescriptorWriter(file, isError: false)) { writer.WriteLine("drei …"); writer.Flush(); }
        Assert.Equal("one two drei …\n", Files.ReadText($"/proc/self/fd/{file}").Text);
    }
}
