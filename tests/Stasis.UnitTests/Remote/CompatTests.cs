using Stasis.Linux;
using Stasis.Remote.X64;

namespace Stasis.UnitTests.Remote;

public sealed class CompatTests
{
    private const uint Code = 0xf7fc95e9, Stack = 0xffaca500, Caller = 0xf7e01040;

    private static UserRegisters In(int call, Errno errno) =>
        new() { cs = Compat.CodeSegment, ss = Compat.StackSegment, orig_rax = (ulong)call, rax = unchecked((ulong)-(long)errno), rip = Code, rsp = Stack };

    // The bytes before the place that the call returns to, behind three registers on the stack; nothing else can be read.
    private static SyscallRestart.MemoryReader CalledBehind(byte[] code) => (address, buffer) =>
    {
        if (address == Stack + 12) return BitConverter.TryWriteBytes(buffer, Caller);
        if (address != Caller - (uint)buffer.Length) return false;
        buffer.Clear();
        code.CopyTo(buffer[^code.Length..]);
        return true;
    };

    [Theory]
    [InlineData(3, true)]    // read, which is call 0 of 64-bit programs
    [InlineData(256, true)]  // epoll_wait
    [InlineData(232, false)] // epoll_wait of 64-bit programs, another call here
    public void Calls_have_their_own_numbers(int call, bool stray) => Assert.Equal(stray, SyscallRestart.IsStrayInterrupt(In(call, Errno.EINTR)));

    [Fact]
    public void A_restarted_call_is_told_by_the_code_that_called_the_vdso()
    {
        // mov $407,%eax; call *%gs:0x10
        UserRegisters? image = SyscallRestart.ForImage(In(Compat.restart_syscall, Errno.ERESTART_RESTARTBLOCK), [], CalledBehind([0xb8, 0x97, 0x01, 0, 0, 0x65, 0xff, 0x15, 0x10, 0, 0, 0]));
        Assert.Equal((ulong)Compat.clock_nanosleep_time64, image!.Value.orig_rax);
    }

    [Fact]
    public void A_restarted_call_behind_other_code_is_not_told() =>
        Assert.Null(SyscallRestart.ForImage(In(Compat.restart_syscall, Errno.ERESTART_RESTARTBLOCK), [], CalledBehind([0xb8, 0x03, 0, 0, 0, 0x65, 0xff, 0x15, 0x10, 0, 0, 0])));

    [Fact]
    public void A_call_that_was_interrupted_for_the_first_time_has_its_number()
    {
        UserRegisters image = SyscallRestart.ForImage(In(Compat.nanosleep, Errno.ERESTART_RESTARTBLOCK), [], (_, _) => false)!.Value;
        Assert.Equal(((ulong)Compat.nanosleep, unchecked((ulong)-(long)Errno.ERESTARTNOHAND)), (image.orig_rax, image.rax));
    }

    [Fact]
    public void Arguments_are_cut_to_32_bits()
    {
        UserRegisters call = Compat.Call(default, 0x1000, Compat.mmap2, 0x10000000, 4096, 7, 0x22, ulong.MaxValue, 0);
        Assert.Equal((0x1000ul, (ulong)Compat.mmap2, 0xfffffffful, 0ul, Compat.CodeSegment), (call.rip, call.rax, call.rdi, call.rbp, call.cs));
    }
}
