using Stasis.State;
using System.Text.Json;
using Stasis.Cli.Show;

namespace Stasis.UnitTests.Cli;

public sealed class ShowTests
{
    private static readonly ImageView Image = new("job.image", 1, "stasis 0.1.0", "6.1", "2026-01-02T03:04:05.0000000Z", 42, false, 4096, 8192,
        [new ProcessView(42, 0, 42, 42, "bash", "running", "/bin/bash", "/home", 0, 0, 4096,
            [new ThreadView(42, "bash", "wait4", null), new ThreadView(43, "bash", null, null)],
            [new MappingView("0x1000", "0x3000", "rw-p", 8192, 4096, "[heap]")],
            [new DescriptorView(0, 1, "device", "/dev/null", "read", true, null)])],
        [new SharedMemoryView(1, "memfd x #1", 4096, 0)], [new StoredFileView("pages.bin", 4096)], [new Loss(42, "bash", "descriptor 9 (/dev/kmsg)", "it was left out")], ["CPU time used so far"]);

    [Fact]
    public void The_faithfulness_report_stands_alone_too()
    {
        const string Always = "No restart brings back:\n  CPU time used so far\n";
        Assert.Equal("Not as it was: bash (pid 42), descriptor 9 (/dev/kmsg): it was left out.\n" + Always, CommandLineRun.Of(Image, "show", "--losses", "job.image").Output);
        Assert.Equal("All that was found comes back as it was.\n" + Always, CommandLineRun.Of(Image with { Losses = [] }, "show", "--losses", "job.image").Output);
    }

    [Fact]
    public void People_see_the_tree_threads_memory_descriptors_and_sizes()
    {
        string output = CommandLineRun.Of(Image, "show", "job.image").Output;
        Assert.Contains("Not as it was: bash", output);
        Assert.StartsWith("job.image: process 42, taken 2026-01-02 03:04:05 +00:00 on Linux 6.1 by stasis 0.1.0, image format 1.\n1 process, 2 threads, 1 descriptor, 4.0 KiB of memory; 8.0 KiB on disk.\n", output);
        Assert.Contains("42  bash  in wait4\n", output);
        Assert.Contains("43  bash  running\n", output);
        Assert.Contains("0x1000  0x3000  rw-p    8.0 KiB  4.0 KiB  [heap]\n", output);
        Assert.Contains("device  read, cloexec  /dev/null", output);
        Assert.Contains("memfd x #1", output);
        Assert.Contains("pages.bin", output);
    }

    [Fact]
    public void Brief_ends_with_the_tree()
    {
        string output = CommandLineRun.Of(Image, "show", "job.image", "--brief").Output;
        Assert.Contains("bash ", output);
        Assert.DoesNotContain("[heap]", output);
    }

    [Fact]
    public void Json_is_the_view()
    {
        JsonElement json = JsonDocument.Parse(CommandLineRun.Of(Image, "show", "job.image", "--json").Output).RootElement;
        JsonElement process = json.GetProperty("processes")[0];
        Assert.Equal("wait4", process.GetProperty("threads")[0].GetProperty("call").GetString());
        Assert.Equal(4096, process.GetProperty("mappings")[0].GetProperty("storedBytes").GetInt64());
        Assert.True(process.GetProperty("descriptors")[0].GetProperty("closeOnExec").GetBoolean());
    }
}
