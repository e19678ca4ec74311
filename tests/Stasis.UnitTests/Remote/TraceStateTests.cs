using Stasis.Linux;
using Stasis.Remote;
using Xunit.Abstractions;

namespace Stasis.UnitTests.Remote;

public sealed class TraceStateTests(ITestOutputHelper output)
{
    private static TraceSight At(int signal, int code, ulong message = 0, ulong jobControl = 0) => new(0, jobControl, message, 1, 0, signal, code, true);

    [Theory]
    [InlineData(5, 0x85, 1, TraceStop.SyscallEntry)] // PTRACE_O_TRACESYSGOOD
    [InlineData(5, 0x85, 2, TraceStop.SyscallExit)]
    [InlineData(5, 5, 2, TraceStop.SyscallExit)]     // without it
    [InlineData(5, 0x80, 0, TraceStop.Signal)]       // int3: SI_KERNEL
    [InlineData(5, 2, 0, TraceStop.Signal)]          // TRAP_TRACE
    [InlineData(5, 5, 0, TraceStop.Signal)]          // TRAP_UNK
    [InlineData(11, 1, 0, TraceStop.Signal)]
    [InlineData(10, -6, 0, TraceStop.Signal)]        // SI_TKILL
    [InlineData(5, 0x8005, 0, TraceStop.Interrupt)]
    public void A_stop_is_told_by_its_siginfo(int signal, int code, ulong message, TraceStop stop) =>
        Assert.Equal((stop, ""), TraceState.Classify(At(signal, code, message)));

    [Theory]
    [InlineData(19, 0x8013)] // group stop of a seized task
    [InlineData(5, 0x105)]   // PTRACE_EVENT_FORK
    [InlineData(5, 0x405)]   // PTRACE_EVENT_EXEC
    [InlineData(5, 0x605)]   // PTRACE_EVENT_EXIT
    public void Others_can_not_be_made_again(int signal, int code) => Assert.Null(TraceState.Classify(At(signal, code)).Stop);

    [Fact]
    public void A_stop_without_siginfo_or_that_is_listened_in_is_one_of_job_control()
    {
        Assert.Null(TraceState.Classify(At(0, 0) with { HasSignalInformation = false }).Stop);
        Assert.Null(TraceState.Classify(At(5, 0x8005, jobControl: 1 << 22)).Stop);
    }

    private static byte[] Waiting(int signal)
    {
        byte[] information = new byte[128];
        BitConverter.TryWriteBytes(information, signal);
        return information;
    }

    private static int Free(TraceStop stop, bool reported, int stopSignal, params int[] waiting) => TraceCalls.FreeSignal(
        new TraceState(1, false, 0, false, stop, reported, Waiting(stopSignal), []), new TaskState(default, [], 0, [.. waiting.Select(Waiting)], [], default));

    [Fact]
    public void The_signal_that_brings_a_task_to_a_stop_is_none_that_waits()
    {
        Assert.Equal(Signals.SIGURG, Free(TraceStop.Signal, true, Signals.SIGTRAP));
        Assert.Equal(Signals.SIGWINCH, Free(TraceStop.Signal, true, Signals.SIGTRAP, Signals.SIGURG));
        Assert.Equal(Signals.SIGSEGV, Free(TraceStop.Signal, false, Signals.SIGSEGV, Signals.SIGURG));
        Assert.Equal(0, Free(TraceStop.Signal, false, Signals.SIGSEGV, Signals.SIGSEGV));
        Assert.Equal(0, Free(TraceStop.Signal, true, Signals.SIGTRAP, Signals.SIGSTOP));
        Assert.Equal(0, Free(TraceStop.Signal, false, Signals.SIGKILL));
        Assert.Equal(0, Free(TraceStop.Signal, false, 65));
    }

    [Fact]
    public void Options_and_seizing_are_told_by_the_ptrace_word()
    {
        var sight = new TraceSight(1 << 2, 0, 0, 0x10000 | 1 | (0x100000u | 0x1fu) << 3, 0, 0, 0, false);
        Assert.True(sight.Seized && sight.StopsAtSyscalls && !sight.Emulates && !sight.StopsSoon);
        Assert.Equal(0x10001fu, sight.Options);
    }

    [Fact]
    public void The_kernel_describes_its_types()
    {
        if (Btf.OfKernel() is not { } btf)
        {
            output.WriteLine("this kernel does not describe its types (CONFIG_DEBUG_INFO_BTF): nothing was compared");
            return;
        }
        Assert.Equal(0, btf.Offset("task_struct"u8, "thread_info"u8));
        Assert.True(btf.Function("bpf_iter_task"u8) > 0);
        Assert.Null(btf.Offset("task_struct"u8, "ptrac"u8));
        Assert.Null(btf.Offset("task_struc"u8, "ptrace"u8));
        Assert.Equal(0, btf.Function("no function of this name"u8));
    }
}
