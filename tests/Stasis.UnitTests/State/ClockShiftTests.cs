using Stasis.State;

namespace Stasis.UnitTests.State;

public sealed class ClockShiftTests
{
    [Theory]
    [InlineData(0, 5, 5)]
    [InlineData(3, 5, 2)]
    [InlineData(5, 5, 1)]
    [InlineData(9, 5, 1)]
    [InlineData(9, 0, 0)]
    public void A_timer_that_came_due_expires_at_once_and_one_that_is_not_armed_never(long passed, long remaining, long left) =>
        Assert.Equal(left, new ClockShift(passed).Remaining(remaining));
}
