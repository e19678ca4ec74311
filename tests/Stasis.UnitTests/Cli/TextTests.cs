using Stasis.Cli.Streams;
using Stasis.Cli.Text;

namespace Stasis.UnitTests.Cli;

public sealed class TextTests
{
    [Theory]
    [InlineData(0, "0 bytes")]
    [InlineData(1, "1 byte")]
    [InlineData(1023, "1023 bytes")]
    [InlineData(1024, "1.0 KiB")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(1024 * 1024 - 1, "1.0 MiB")]
    [InlineData(4L << 30, "4.0 GiB")]
    [InlineData(long.MaxValue, "8.0 EiB")]
    public void Bytes(long bytes, string text) => Assert.Equal(text, Quantity.Bytes(bytes));

    [Theory]
    [InlineData(0.04, "0.0 ms")]
    [InlineData(9.94, "9.9 ms")]
    [InlineData(9.96, "10 ms")]
    [InlineData(999.4, "999 ms")]
    [InlineData(999.6, "1.00 s")]
    [InlineData(59_990, "59.99 s")]
    [InlineData(200_000, "3 min 20 s")]
    public void Times(double milliseconds, string text) => Assert.Equal(text, Quantity.Milliseconds(milliseconds));

    [Fact]
    public void Every_process_is_in_the_tree_once_whatever_the_parents_say()
    {
        (int Pid, int Parent)[] processes = [(5, 4), (4, 5), (3, 1), (2, 9), (1, 0), (7, 7)];
        var ordered = ProcessTree.InOrder(processes, process => process.Pid, process => process.Parent);
        Assert.Equal([(1, 0), (3, 1), (2, 0), (4, 0), (5, 1), (7, 0)], ordered.Select(entry => (entry.Item.Pid, entry.Depth)));
    }

    [Fact]
    public void A_tree_a_hundred_thousand_deep_is_no_trouble()
    {
        int[] processes = [.. Enumerable.Range(1, 100_000)];
        Assert.Equal(99_999, ProcessTree.InOrder(processes, pid => pid, pid => pid - 1)[^1].Depth);
    }

    [Fact]
    public void Columns_are_as_wide_as_their_content()
    {
        var table = new TextTable("A", ">B");
        table.Add("long", "1");
        table.Add("x", "1000");
        var output = new StringWriter { NewLine = "\n" };
        table.Write(output, "  ");
        Assert.Equal("  A        B\n  long     1\n  x     1000\n", output.ToString());
    }

    [Fact]
    public void The_progress_line_fits_the_terminal()
    {
        Assert.Equal("checkpoint: writing pages [########........]  50 %  1.0 GiB of 2.0 GiB  1.0 GiB/s",
            TerminalProgress.Line("checkpoint", "writing pages", 1L << 30, 2L << 30, 1000, 200));
        Assert.Equal(39, TerminalProgress.Line("checkpoint", "writing pages", 1L << 30, 2L << 30, 1000, 40).Length);
        Assert.Contains("100 %", TerminalProgress.Line("c", "s", 3, 2, 0, 100));
        Assert.Equal("c: s  3 bytes", TerminalProgress.Line("c", "s", 3, 0, 0, 100));
    }
}
