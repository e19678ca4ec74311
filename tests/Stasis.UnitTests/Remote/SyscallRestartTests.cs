using Stasis.Linux;
using Stasis.Remote.X64;

namespace Stasis.UnitTests.Remote;

public sealed class SyscallRestartTests
{
    private static readonly byte[] NanosleepBefore = [0x90, 0xb8, 35, 0, 0, 0];

    private static UserRegisters In(Syscall call, Errno errno) =>
        new() { orig_rax = (ulong)(int)call, rax = unchecked((ulong)-(long)errno), rip = 0x401002, rdi = 1, rsp = 0x7000, rbx = 7 };

    private static UserRegisters Outside(Errno errno) => In(Syscall.read, errno) with { orig_rax = ulong.MaxValue };

    [Theory]
    [InlineData(Errno.ERESTARTSYS)]
    [InlineData(Errno.ERESTARTNOINTR)]
    [InlineData(Errno.ERESTARTNOHAND)]
    [InlineData(Errno.ERESTART_RESTARTBLOCK)]
    public void A_call_to_be_restarted_is_made_again_from_its_start(Errno errno)
    {
        UserRegisters stopped = In(Syscall.nanosleep, errno);
        Assert.True(SyscallRestart.IsRestart(stopped));
        UserRegisters resolved = SyscallRestart.Resolve(stopped, []);
        Assert.Equal(stopped with { rax = (ulong)(int)Syscall.nanosleep, rip = 0x401000, orig_rax = ulong.MaxValue }, resolved);
    }

    [Theory]
    [InlineData(Errno.None)]
    [InlineData(Errno.EINTR)]
    [InlineData(Errno.EAGAIN)]
    [InlineData((Errno)511)]
    [InlineData((Errno)515)]
    [InlineData((Errno)517)]
    [InlineData((Errno)1023)]
    [InlineData((Errno)1024)]
    [InlineData((Errno)4095)]
    public void Any_other_result_is_left_alone(Errno errno)
    {
        UserRegisters stopped = In(Syscall.nanosleep, errno);
        Assert.False(SyscallRestart.IsRestart(stopped) || SyscallRestart.NeedsRestartBlock(stopped));
        Assert.Equal(stopped, SyscallRestart.Resolve(stopped, NanosleepBefore));
        Assert.Equal(stopped, SyscallRestart.ForImage(stopped, NanosleepBefore));
    }

    [Theory]
    [InlineData(Errno.ERESTARTSYS)]
    [InlineData(Errno.ERESTART_RESTARTBLOCK)]
    [InlineData(Errno.EINTR)]
    public void Outside_of_a_call_a_value_that_looks_like_an_errno_is_a_value(Errno errno)
    {
        UserRegisters stopped = Outside(errno);
        Assert.False(SyscallRestart.InSyscall(stopped) || SyscallRestart.IsRestart(stopped) || SyscallRestart.NeedsRestartBlock(stopped) || SyscallRestart.IsStrayInterrupt(stopped));
        Assert.Equal(stopped, SyscallRestart.Resolve(stopped, NanosleepBefore));
        Assert.Equal(stopped, SyscallRestart.ForImage(stopped, NanosleepBefore));
    }

    [Theory]
    [InlineData(ulong.MaxValue, false)]
    [InlineData(0x8000000000000000ul, false)]
    [InlineData(0ul, true)]
    [InlineData(0x7ffffffffffffffful, true)]
    public void A_negative_orig_rax_means_no_call(ulong origRax, bool inside) => Assert.Equal(inside, SyscallRestart.InSyscall(new UserRegisters { orig_rax = origRax }));

    [Theory]
    [InlineData(Errno.ERESTARTSYS)]
    [InlineData(Errno.ERESTARTNOINTR)]
    [InlineData(Errno.ERESTARTNOHAND)]
    public void The_image_keeps_what_the_kernel_itself_restarts(Errno errno) => Assert.Equal(In(Syscall.read, errno), SyscallRestart.ForImage(In(Syscall.read, errno), []));

    [Theory]
    [InlineData(Syscall.nanosleep)]
    [InlineData(Syscall.clock_nanosleep)]
    [InlineData(Syscall.poll)]
    [InlineData(Syscall.futex)]
    public void A_restart_block_becomes_the_whole_call_in_the_image(Syscall call)
    {
        UserRegisters stopped = In(call, Errno.ERESTART_RESTARTBLOCK);
        Assert.Equal(stopped with { rax = unchecked((ulong)-514L) }, SyscallRestart.ForImage(stopped, []));
    }

    [Theory]
    [InlineData(Syscall.nanosleep)]
    [InlineData(Syscall.clock_nanosleep)]
    [InlineData(Syscall.poll)]
    [InlineData(Syscall.futex)]
    public void A_restarted_call_is_told_by_its_code(Syscall call)
    {
        byte[] code = [0xb8, 0, 0, 0, 0, 0xb8, .. BitConverter.GetBytes((int)call), 0x0f, 0x1f, 0x00];
        UserRegisters stopped = In(Syscall.restart_syscall, Errno.ERESTART_RESTARTBLOCK);
        UserRegisters image = SyscallRestart.ForImage(stopped, code)!.Value;
        Assert.Equal(stopped with { orig_rax = (ulong)(int)call, rax = unchecked((ulong)-514L) }, image);
        Assert.Equal(stopped with { orig_rax = ulong.MaxValue, rax = (ulong)(int)call, rip = 0x401000 }, SyscallRestart.Resolve(stopped, code));
    }

    [Fact]
    public void The_nearest_call_counts()
    {
        byte[] code = [0xb8, 7, 0, 0, 0, 0x0f, 0x05, 0xb8, 35, 0, 0, 0];
        Assert.Equal((ulong)(int)Syscall.nanosleep, SyscallRestart.ForImage(In(Syscall.restart_syscall, Errno.ERESTART_RESTARTBLOCK), code)!.Value.orig_rax);
    }

    [Theory]
    [InlineData("")]
    [InlineData("b8")]
    [InlineData("b8230000")]
    [InlineData("90b8230000")]
    [InlineData("b800000000")]
    [InlineData("b8db000000")]
    [InlineData("b823000001")]
    [InlineData("48c7c023000000")]
    [InlineData("b9230000009090909090")]
    public void Without_such_code_the_call_can_t_be_told(string hex)
    {
        byte[] code = Convert.FromHexString(hex);
        UserRegisters stopped = In(Syscall.restart_syscall, Errno.ERESTART_RESTARTBLOCK);
        Assert.Null(SyscallRestart.ForImage(stopped, code));
        // A live process still has its restart block: the same call again is the best there is.
        Assert.Equal((ulong)(int)Syscall.restart_syscall, SyscallRestart.Resolve(stopped, code).rax);
    }

    [Fact]
    public void Whatever_bytes_the_code_is_nothing_is_read_behind_it()
    {
        Random random = new(1);
        for (int round = 0; round < 2000; round++)
        {
            byte[] code = new byte[random.Next(50)];
            for (int i = 0; i < code.Length; i++) code[i] = random.Next(3) switch { 0 => 0xb8, 1 => 0, _ => (byte)random.Next(256) };
            UserRegisters? image = SyscallRestart.ForImage(In(Syscall.restart_syscall, Errno.ERESTART_RESTARTBLOCK), code);
            if (image is { } found) Assert.Contains((Syscall)found.orig_rax, (Syscall[])[Syscall.nanosleep, Syscall.clock_nanosleep, Syscall.poll, Syscall.futex]);
        }
    }

    [Theory]
    [InlineData(Syscall.epoll_wait, true)]
    [InlineData(Syscall.epoll_pwait2, true)]
    [InlineData(Syscall.semtimedop, true)]
    [InlineData(Syscall.rt_sigtimedwait, true)]
    [InlineData(Syscall.recvmsg, true)]
    [InlineData(Syscall.read, true)]
    [InlineData(Syscall.pause, false)]
    [InlineData(Syscall.nanosleep, false)]
    [InlineData(Syscall.futex, false)]
    [InlineData(Syscall.select, false)]
    public void A_stray_EINTR_is_known_by_its_call(Syscall call, bool stray)
    {
        Assert.Equal(stray, SyscallRestart.IsStrayInterrupt(In(call, Errno.EINTR)));
        Assert.False(SyscallRestart.IsStrayInterrupt(In(call, Errno.ERESTARTSYS)));
        Assert.False(SyscallRestart.IsStrayInterrupt(In(call, Errno.None)));
    }

    // Memory at 0x10000: a time; at 0x20000: two descriptors to poll; at 0x30000: a futex; nothing else can be read.
    private static bool Read(ulong address, Span<byte> buffer)
    {
        long[] words = address switch
        {
            0x10000 => [5, 999_999_999],
            0x20000 => [0x0000_0001_0000_0003],
            0x20008 => [0x0000_0001_FFFF_FFFF],
            0x30000 => [7, 2_000_000_000],
            _ => [],
        };
        if (words.Length * 8 < buffer.Length) return false;
        System.Runtime.InteropServices.MemoryMarshal.AsBytes(words.AsSpan())[..buffer.Length].CopyTo(buffer);
        return true;
    }

    [Theory]
    [InlineData(Syscall.nanosleep, 0x10000, 0x40000, 0x123456789AB, 0)]
    [InlineData(Syscall.nanosleep, 0x10000, 0, 0, 0)]
    [InlineData(Syscall.clock_nanosleep, 1, 0, 0x10000, 0x40000)]
    [InlineData(Syscall.poll, 0, 0, 5000, 0)]
    [InlineData(Syscall.poll, 0x20000, 2, 5000, 0)]
    [InlineData(Syscall.futex, 0x30000, 128, 7, 0x10000)]
    [InlineData(Syscall.futex, 0x30000, 137, 7, 0x10000)]
    public void A_restarted_call_without_a_number_in_its_code_is_told_by_its_arguments(Syscall call, ulong a, ulong b, ulong c, ulong d)
    {
        UserRegisters stopped = In(Syscall.restart_syscall, Errno.ERESTART_RESTARTBLOCK) with { rdi = a, rsi = b, rdx = c, r10 = d };
        Assert.Null(SyscallRestart.ForImage(stopped, [0x90]));
        UserRegisters? image = SyscallRestart.ForImage(stopped, [0x90], Read);
        Assert.Equal(call, (Syscall)image!.Value.orig_rax);
    }

    [Theory]
    [InlineData(0x10000, 0, 5000, 0)]       // nanosleep, or poll of nothing with a pointer
    [InlineData(0x40000, 0x40000, 0, 0)]    // a time that can't be read
    [InlineData(0x30000, 0x40000, 0, 0)]    // more than a billion nanoseconds
    [InlineData(0x30000, 1, 7, 0x10000)]    // FUTEX_WAKE never waits
    [InlineData(1, 1, 0x10000, 0)]          // an absolute time needs no restart_block
    public void What_may_be_two_calls_or_none_is_not_told(ulong a, ulong b, ulong c, ulong d)
    {
        UserRegisters stopped = In(Syscall.restart_syscall, Errno.ERESTART_RESTARTBLOCK) with { rdi = a, rsi = b, rdx = c, r10 = d };
        Assert.Null(SyscallRestart.ForImage(stopped, [0x90], Read));
    }
}
