namespace Stasis.Remote.X64;

/// <summary>
/// The machine code that runs a tape on x86-64, and the three other scraps of code that Stasis ever puts into a process.
/// A tape is an array of 64-byte records <c>nr, policy, a0..a5, resultTo</c>; rbx points at the current one. No stack is used,
/// so it works in a task that has none.
/// </summary>
internal static class Interpreter
{
    public const int EndOfTape = -1;
    public const int CopyValue = -2;

    /*  1: mov eax,[rbx]            number of the call
           cmp eax,-1; je 5f        end of tape
           mov rdi,[rbx+8]
           cmp eax,-2; je 4f        copy an earlier result
           mov rsi,[rbx+16]; mov rdx,[rbx+24]; mov r10,[rbx+32]; mov r8,[rbx+40]; mov r9,[rbx+48]
           syscall
           mov rcx,[rbx+56]; mov [rcx],rax
           cmp rax,-4096; jbe 3f    no error
           cmp dword ptr [rbx+4],0; je 5f      error, and the policy says stop here
        3: add rbx,64; jmp 1b
        4: mov rax,[rdi]; mov rcx,[rbx+56]; mov [rcx],rax; jmp 3b
        5:                                                                                          */
    private const string Loop =
        "8b0383f8ff7446488b7b0883f8fe7431488b7310488b53184c8b53204c8b43284c8b4b300f05488b4b38488901483d00f0ffff7606837b040074124883c340ebbf488b07488b4b38488901ebee";

    /// <summary>For blank processes: the tape ends in int3, whose stop the tracer sees. A blank process dies with the tool, so nothing can be harmed.</summary>
    public static readonly byte[] ForBlank = Convert.FromHexString(Loop + "cc9090");

    /// <summary>The instruction pointer behind the int3.</summary>
    public const int BlankEnd = 0x4e;

    /*  5: mov [r13],rbx            tells how far the tape got, and that it ended
           lea rdi,[rip+zero]; xor esi,esi; lea rdx,[rip+oneSecond]; mov r10d,8; mov eax,128 (rt_sigtimedwait); syscall
           mov eax,15 (rt_sigreturn); syscall; ud2
        zero: .quad 0   oneSecond: .quad 1,0                                                        */

    /// <summary>
    /// For live targets: at the end the task lingers in rt_sigtimedwait of no signal (which leaves restart_block, and so an
    /// interrupted sleep of the target, alone) until the tool stops it there. If the tool is gone, the wait ends by itself and
    /// rt_sigreturn from the frame at rsp makes the task whole: the return ticket.
    /// </summary>
    public static readonly byte[] ForLive =
    [
        .. Convert.FromHexString(Loop + "49895d00488d3d2000000031f6488d151f00000041ba08000000b8800000000f05b80f0000000f050f0b90"),
        .. BitConverter.GetBytes(0L), .. BitConverter.GetBytes(LingerSeconds), .. BitConverter.GetBytes(0L),
    ];

    /*  5: mov rdi,r12; mov rsi,r13; mov rdx,r14; mov eax,234 (tgkill); syscall
           mov eax,15 (rt_sigreturn); syscall; ud2                                                  */

    /// <summary>
    /// For a task that a tracer of the tree holds: at the end it sends itself the signal in r14, whose delivery is a stop for its tracer.
    /// Without a tracer (it died in those microseconds) the signal is one that is ignored, and rt_sigreturn makes the task whole.
    /// </summary>
    public static readonly byte[] ForTraced = Convert.FromHexString(Loop + "4c89e74c89ee4c89f2b8ea0000000f05b80f0000000f050f0b");

    /// <summary>How long a task lingers at most; a target whose tool died in those microseconds goes on after that.</summary>
    private const long LingerSeconds = 1;

    /// <summary>The instruction pointer of a task that lingers (behind the syscall instruction).</summary>
    public const int LiveLinger = 0x6e;

    /*  1: wait4(-1, rsp-64, 0, 0); -ECHILD: exit_group(0); not ebx: again; else exit_group(exit code, or 128 + signal) */

    /// <summary>The minimal init of a pid namespace: reaps everything, ends as the child in ebx ends.</summary>
    public static readonly byte[] Init = Convert.FromHexString(
        "bfffffffff488d7424c031d24531d2b83d0000000f0583f8f6741c39d875e18b4424c089c183e17f74088db980000000eb070fb6fceb0231ffb8e70000000f050f0b");

    /*     mov edi,1 (PR_SET_PDEATHSIG); mov esi,9; mov eax,157 (prctl); syscall
           mov eax,110 (getppid); syscall; cmp eax,PARENT; jne 2f
        1: mov eax,34 (pause); syscall; jmp 1b
        2: mov eax,231 (exit_group); xor edi,edi; syscall                                           */

    /// <summary>
    /// The blank process's whole program: pause() again and again, until it is seized. Should the tool die before that, it ends: by
    /// the signal, or because its parent is another already.
    /// </summary>
    public static byte[] Stub(int parent) =>
    [
        .. Convert.FromHexString("bf01000000be09000000b89d0000000f05b86e0000000f053d"), .. BitConverter.GetBytes(parent),
        .. Convert.FromHexString("7509b8220000000f05ebf7b8e700000031ff0f05"),
    ];

    /*     ldtilecfg [rdi]; tilezero tmm0; tilerelease; int3                                        */

    /// <summary>For a blank task: uses a tile register (AMX), which the kernel answers by making room for all of them.</summary>
    public static readonly byte[] TouchTiles = Convert.FromHexString("c4e2784907c4e27b49c0c4e27849c0cc");

    /// <summary>pause() again and again.</summary>
    public static readonly byte[] Spin = [0xeb, 0xfe]; // jmp to itself
    public static readonly byte[] Park = Convert.FromHexString("b8220000000f05ebf7");

    /// <summary>Where in <see cref="Stub"/> the syscall instruction of pause() stands.</summary>
    public const int StubSyscall = 36;

    public static readonly byte[] SyscallInstruction = [0x0f, 0x05];
    public static readonly byte[] SyscallAndReturn = [0x0f, 0x05, 0xc3];

    /// <summary>`mov $15,%rax; syscall`: the signal restorer of glibc and Go; with `mov $15,%eax` that of musl.</summary>
    public static readonly byte[][] Restorers = [[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05], [0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05]];
}
