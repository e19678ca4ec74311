using System.Buffers.Binary;
using Stasis.State.Threads;

namespace Stasis.UnitTests.State;

public sealed class TimerOverrunsTests
{
    private const int SI_TIMER = -2, SI_QUEUE = -1;

    private static byte[] Signal(int number, int code, int timer, int overrun)
    {
        byte[] information = new byte[128];
        ReadOnlySpan<int> members = [number, 0, code, 0, timer, overrun];
        for (int i = 0; i < members.Length; i++) BinaryPrimitives.WriteInt32LittleEndian(information.AsSpan(i * 4), members[i]);
        return information;
    }

    [Fact]
    public void The_own_signal_of_a_timer_gets_the_number_of_the_kernel()
    {
        byte[][] counted = TimerOverruns.Counted([Signal(34, SI_TIMER, 3, 0)], new Dictionary<int, long> { [3] = 47 });
        Assert.Equal([Signal(34, SI_TIMER, 3, 47)], counted);
    }

    [Fact]
    public void One_that_was_sent_before_and_the_own_one_are_one_signal()
    {
        byte[][] counted = TimerOverruns.Counted([Signal(34, SI_TIMER, 3, 45), Signal(35, SI_QUEUE, 3, 0), Signal(34, SI_TIMER, 3, 0)], new Dictionary<int, long> { [3] = 2 });
        Assert.Equal([Signal(34, SI_TIMER, 3, 48), Signal(35, SI_QUEUE, 3, 0)], counted);
    }

    [Fact]
    public void Signals_of_no_timer_stay()
    {
        byte[][] signals = [Signal(34, SI_TIMER, 9, 1), Signal(34, SI_TIMER, 9, 1)];
        Assert.Equal(signals, TimerOverruns.Counted(signals, new Dictionary<int, long> { [3] = 2 }));
    }
}
