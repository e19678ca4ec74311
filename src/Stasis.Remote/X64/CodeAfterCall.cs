namespace Stasis.Remote.X64;

/// <summary>
/// The code behind a system call. The kernel gives back all of a call's argument registers as they were, and code may count on that; but not once it
/// has returned or called a function, where they are anybody's (System V ABI for AMD64, 3.2.1). A wrapper like those of the C libraries does that at once.
/// </summary>
public static class CodeAfterCall
{
    /// <summary>As many bytes as a wrapper needs for that.</summary>
    public const int Length = 64;

    // What may stand between, none of which touches r10; null is any byte. Of a forward jump on an error the other way is followed.
    private static readonly byte?[][] s_known =
    [
        [0x48, 0x3D, null, null, null, null], // cmp $n,%rax
        [0x44, 0x89, 0xC7], [0x89, 0xEF],     // mov %r8d,%edi; mov %ebp,%edi
        [0x89, 0x44, 0x24, null], [0x48, 0x89, 0x44, 0x24, null], // mov %eax,n(%rsp); mov %rax,n(%rsp)
    ];

    /// <summary>Whether r10, the fourth argument, is certainly neither used nor kept until then: only the wrappers that are known are, by whole instructions.</summary>
    public static bool ForgetsFourth(ReadOnlySpan<byte> code)
    {
        const byte Return = 0xC3, CallFunction = 0xE8, JumpAbove = 0x77, TwoBytes = 0x0F, JumpFarAbove = 0x87;
        while (code.Length >= 6)
        {
            if (code[0] is Return or CallFunction) return true;
            int length = code[0] == JumpAbove && code[1] < 0x80 ? 2 : code[0] == TwoBytes && code[1] == JumpFarAbove && code[5] < 0x80 ? 6 : Known(code);
            if (length == 0) return false;
            code = code[length..];
        }
        return false;
    }

    private static int Known(ReadOnlySpan<byte> code)
    {
        foreach (byte?[] one in s_known)
        {
            int same = 0;
            while (same < one.Length && (one[same] is null || one[same] == code[same])) same++;
            if (same == one.Length) return same;
        }
        return 0;
    }
}
