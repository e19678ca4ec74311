using Stasis.Linux;

namespace Stasis.UnitTests.Linux;

/// <summary>Statuses as the kernel builds them (man 2 wait; man 2 ptrace, "Stopped states").</summary>
public sealed class WaitStatusTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(255)]
    public void An_exit_is_an_exit(int code)
    {
        var status = new WaitStatus(code << 8);
        Assert.True(status.Exited && status.Gone && !status.Signaled && !status.Stopped && !status.EventStop && !status.SyscallStop);
        Assert.Equal(code, status.ExitCode);
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(9, false)]
    [InlineData(11, true)]
    [InlineData(64, true)]
    [InlineData(126, false)]
    public void A_death_by_signal_is_one_with_and_without_a_core(int signal, bool core)
    {
        var status = new WaitStatus(signal | (core ? 0x80 : 0));
        Assert.True(status.Signaled && status.Gone && !status.Exited && !status.Stopped && !status.SyscallStop);
        Assert.Equal(signal, status.TerminationSignal);
    }

    [Theory]
    [InlineData(0x137f, 19, 0)]
    [InlineData(0x057f, 5, 0)]
    [InlineData(0x3057f, 5, PtraceConstants.EVENT_CLONE)]
    [InlineData(0x407f, 64, 0)]
    public void A_stop_is_no_end(int raw, int signal, int happening)
    {
        var status = new WaitStatus(raw);
        Assert.True(status.Stopped && !status.Gone && !status.Exited && !status.Signaled && !status.SyscallStop && !status.EventStop);
        Assert.Equal((signal, happening), (status.StopSignal, status.Event));
    }

    [Theory]
    [InlineData(5)]
    [InlineData(19)]
    [InlineData(22)]
    public void An_event_stop_tells_its_signal(int signal)
    {
        var status = new WaitStatus(PtraceConstants.EVENT_STOP << 16 | signal << 8 | 0x7f);
        Assert.True(status.EventStop && status.Stopped && !status.SyscallStop && !status.Gone);
        Assert.Equal(signal, status.StopSignal);
    }

    [Fact]
    public void A_syscall_stop_is_told_from_a_trap()
    {
        Assert.True(new WaitStatus(0x857f).SyscallStop);
        Assert.False(new WaitStatus(0x057f).SyscallStop);
    }

    [Fact]
    public void A_continued_child_is_neither_stopped_nor_gone()
    {
        var status = new WaitStatus(0xffff);
        Assert.True(!status.Stopped && !status.Gone && !status.EventStop && !status.SyscallStop);
    }
}
