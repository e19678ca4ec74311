using Stasis.Remote.X64;

namespace Stasis.UnitTests.Remote;

public class CodeAfterCallTests
{
    private static bool Forgets(string code)
    {
        byte[] bytes = new byte[CodeAfterCall.Length];
        Array.Fill<byte>(bytes, 0x90);
        Convert.FromHexString(code.Replace(" ", "")).CopyTo(bytes, 0);
        return CodeAfterCall.ForgetsFourth(bytes);
    }

    [Theory]
    [InlineData("48 3d 00 f0 ff ff 77 5d c3")] // glibc 2.36, epoll_wait in a program with one thread: cmp, ja, ret
    [InlineData("48 3d 00 f0 ff ff 77 32 44 89 c7 89 44 24 0c e8 56 c9 f7 ff")] // and with several: cmp, ja, mov %r8d,%edi, mov, call
    [InlineData("c3")] // musl, __syscall_cp_asm
    [InlineData("89 44 24 28 c3")] // Go, runtime·epollwait
    public void A_wrapper_forgets_it(string code) => Assert.True(Forgets(code));

    [Theory]
    [InlineData("85 c0 7e f0 c3")] // test, jle back to the call
    [InlineData("eb e0")]
    [InlineData("0f 8e 10 ff ff ff c3")]
    [InlineData("e9 00 ff ff ff c3")]
    [InlineData("4c 89 d1 c3")] // mov %r10,%rcx
    [InlineData("44 8b 57 08 c3")] // mov 8(%rdi),%r10d
    [InlineData("41 83 c2 01 c3")] // add $1,%r10d
    [InlineData("41 52 e8 00 00 00 00")] // push %r10
    [InlineData("43 8b 04 12 c3")] // mov (%r10,%r10),%eax
    [InlineData("42 8b 04 10 c3")] // mov (%rax,%r10),%eax
    [InlineData("48 89 c3 4c 89 d1 c3")] // mov %rax,%rbx, which has the byte of a return in it
    [InlineData("83 e8 01 4c 89 d1 c3")] // sub $1,%eax, which has that of a call
    [InlineData("85 c0 79 05 e8 00 00 00 00 4c 89 d1 c3")] // over a call
    [InlineData("0f 05 c3")] // another system call
    [InlineData("")]
    public void Other_code_may_not(string code) => Assert.False(Forgets(code));
}
