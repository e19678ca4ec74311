using Stasis.Linux.Proc;

namespace Stasis.UnitTests.Linux;

public sealed class ProcStatTests
{
    // Each field from 4 on holds ten times its number, so that a field taken from a wrong place shows.
    private static string Line(string comm, int fields = 52) => $"4711 ({comm}) S {string.Join(' ', Enumerable.Range(4, fields - 3).Select(number => number * 10))}\n";

    [Fact]
    public void Fields_come_from_their_places()
    {
        ProcStat stat = ProcStat.Parse(Line("cat"))!;
        Assert.Equal(new ProcStat(4711, "cat", 'S', 40, 50, 60, 70, 80, 190, 200, 220, 380, 260, 270, 280, 450, 460, 470, 480, 490, 500, 510, 520, 90), stat);
    }

    [Theory]
    [InlineData("a b")]
    [InlineData(") S 1 (")]
    [InlineData("))((")]
    [InlineData("")]
    [InlineData("x) R 0 0 0 0")]
    public void A_name_may_hold_anything(string comm)
    {
        ProcStat stat = ProcStat.Parse(Line(comm))!;
        Assert.Equal((4711, comm, 'S', 40), (stat.Pid, stat.Comm, stat.State, stat.ParentPid));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("(cat) S 1")]
    [InlineData("4711")]
    [InlineData("4711 (cat")]
    [InlineData("4711 cat)")]
    [InlineData("4711 )cat(")]
    [InlineData("4711 (cat)")]
    [InlineData("4711 (cat) ")]
    [InlineData("x (cat) S 1 2 3")]
    public void What_is_no_stat_line_is_null(string text) => Assert.Null(ProcStat.Parse(text));

    [Fact]
    public void A_line_cut_anywhere_is_null_or_whole()
    {
        string line = Line("a (b) c");
        for (int length = 0; length < line.Length; length++)
        {
            // Cut in the last number it is still a line: the kernel gives no sign of its end but the newline.
            ProcStat? stat = ProcStat.Parse(line[..length]);
            if (stat is not null) Assert.True(length > line.LastIndexOf(' '), $"a line of {length} characters was taken");
        }
        Assert.Null(ProcStat.Parse(Line("cat", 51)));
    }

    [Fact]
    public void Numbers_that_do_not_fit_are_zero()
    {
        string line = Line("cat").Replace(" 40 ", " 99999999999 ", StringComparison.Ordinal).Replace(" 220 ", " 18446744073709551616 ", StringComparison.Ordinal);
        ProcStat stat = ProcStat.Parse(line)!;
        Assert.Equal((0, 0ul, 50), (stat.ParentPid, stat.StartTimeTicks, stat.ProcessGroup));
    }

    [Fact]
    public void Negative_and_largest_values_are_kept()
    {
        string line = Line("cat").Replace(" 80 ", " -1 ", StringComparison.Ordinal).Replace(" 280 ", " 18446744073709551615 ", StringComparison.Ordinal);
        ProcStat stat = ProcStat.Parse(line)!;
        Assert.Equal((-1, ulong.MaxValue), (stat.ForegroundGroup, stat.StartStack));
    }

    [Fact]
    public void Our_own_line_is_understood()
    {
        ProcStat stat = ProcStat.Read(Environment.ProcessId)!;
        Assert.Equal(Environment.ProcessId, stat.Pid);
        Assert.True(stat.ThreadCount > 1 && stat.StartStack != 0 && stat.ArgEnd > stat.ArgStart && stat.EnvEnd >= stat.EnvStart, stat.ToString());
    }
}
