using Stasis.State.Processes;

namespace Stasis.UnitTests.State;

public sealed class TimerLineTests
{
    private const string Text = "ID: 1\nsignal: 60/00007fff86e452a8\nnotify: signal/pid.2634\nClockID: 0\n"
        + "ID: 7\nsignal: 0/0000000000000000\nnotify: none/pid.2634\nClockID: 1\n"
        + "ID: 2147483647\nsignal: 64/ffffffffffffffff\nnotify: signal/tid.2635\nClockID: -6\n"
        + "ID: 3\nsignal: 14/1\nnotify: thread/pid.2634\nClockID: 7\n";

    [Fact]
    public void Blocks_are_read_in_order() => Assert.Equal(
        [
            new TimerLine(1, 0, 0, 60, 0x7fff86e452a8, 0),
            new TimerLine(7, 1, 1, 0, 0, 0),
            new TimerLine(int.MaxValue, -6, 4, 64, ulong.MaxValue, 2635),
            new TimerLine(3, 7, 2, 14, 1, 0),
        ], TimerLine.Parse(Text));

    [Theory]
    [InlineData("")]
    [InlineData("signal: 1/1\nnotify: signal/pid.1\nClockID: 1\n")]
    [InlineData("ID: x\nsignal: 1/1\n")]
    [InlineData("ID: 99999999999\nClockID: 3\n")]
    public void Lines_without_a_timer_are_nobodys(string text) => Assert.Empty(TimerLine.Parse(text));

    [Theory]
    [InlineData("signal: 14")]
    [InlineData("signal: 14/")]
    [InlineData("signal: /1")]
    [InlineData("signal: 14/10000000000000000")]
    [InlineData("signal: 1/2/3")]
    [InlineData("notify: signal")]
    [InlineData("notify: signal.pid/1")]
    [InlineData("ClockID: 99999999999")]
    [InlineData("ClockID:")]
    [InlineData("nonsense: 1/1")]
    public void A_broken_line_changes_nothing(string line) => Assert.Equal([new TimerLine(5, 0, 0, 0, 0, 0)], TimerLine.Parse($"ID: 5\n{line}\n"));

    [Fact]
    public void Every_cut_of_it_is_read_without_an_error()
    {
        for (int length = 0; length <= Text.Length; length++) Assert.InRange(TimerLine.Parse(Text[..length]).Count, 0, 4);
    }
}
