using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>
/// Tells a thread of ours which signals this process gets. The runtime's own way (PosixSignalRegistration) takes hold of the terminal as well: upon SIGCONT
/// it gives that the settings which it once had, under the hands of a program in front of us, or stops us by that (SIGTTOU) if the terminal is not ours by then.
/// </summary>
public sealed unsafe class SignalWatch : IDisposable
{
    private const int ActionWords = 4, Handler = 0, Flags = 1, Restorer = 2, Mask = 3; // struct sigaction as the kernel has it
    private const ulong SIG_IGN = 1, SA_RESTORER = 0x04000000, SA_RESTART = 0x10000000;
    private const int PROT_READ_WRITE = 3, PROT_READ_EXEC = 5, MAP_PRIVATE_ANONYMOUS = 0x22, PageSize = 4096, DescriptorAt = 5, RestorerAt = 23;

    // Writes the signal's number to a pipe, in code that may interrupt any other: push rdi; mov rsi, rsp; mov edi, descriptor; mov edx, 1; mov eax, write; syscall; pop rdi; ret.
    // Behind it what it returns to: mov eax, rt_sigreturn; syscall.
    private static ReadOnlySpan<byte> Code =>
        [0x57, 0x48, 0x89, 0xe6, 0xbf, 0, 0, 0, 0, 0xba, 1, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0x5f, 0xc3, 0xb8, 15, 0, 0, 0, 0x0f, 0x05];

    private readonly Dictionary<int, ulong[]> _before = [];

    /// <param name="actions">By signal number, what is done on the thread that hears of it. A signal that this process was started to ignore stays ignored (nohup).</param>
    public SignalWatch(IReadOnlyDictionary<int, Action> actions)
    {
        (int read, int write) = Pipes.Create(OpenFlags.O_CLOEXEC);
        Files.Control(write, 4 /* F_SETFL */, OpenFlags.O_WRONLY | OpenFlags.O_NONBLOCK).OrThrow("fcntl(F_SETFL)");
        ulong code = HandlerFor(write);
        new Thread(() => Hear(read, actions)) { IsBackground = true }.Start();
        foreach (int signal in actions.Keys)
        {
            ulong[] before = Change(signal, []);
            if (before[Handler] == SIG_IGN) continue;
            _before[signal] = before;
            Change(signal, [code, SA_RESTORER | SA_RESTART, code + RestorerAt, ulong.MaxValue]);
        }
    }

    private static ulong HandlerFor(int descriptor)
    {
        nint page = (nint)Kernel.Call(Syscall.mmap, 0, PageSize, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0).OrThrow("mmap");
        var bytes = new Span<byte>((void*)page, PageSize);
        Code.CopyTo(bytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[DescriptorAt..], descriptor);
        Kernel.Call(Syscall.mprotect, page, PageSize, PROT_READ_EXEC).OrThrow("mprotect");
        return (ulong)page;
    }

    private static void Hear(int pipe, IReadOnlyDictionary<int, Action> actions)
    {
        byte[] signal = new byte[1];
        while (Files.Read(pipe, signal) is { Failed: false, Value: > 0 })
            if (actions.TryGetValue(signal[0], out Action? action)) action();
    }

    private static ulong[] Change(int signal, ulong[] action)
    {
        ulong[] before = new ulong[ActionWords];
        fixed (ulong* now = action, was = before) Kernel.Call(Syscall.rt_sigaction, signal, (nint)now, (nint)was, sizeof(ulong)).OrThrow($"sigaction of {Signals.Name(signal)}");
        return before;
    }

    /// <summary>What was before is again. A handler may be at work just now, so its page and its pipe stay until this process ends.</summary>
    public void Dispose()
    {
        foreach ((int signal, ulong[] before) in _before) Change(signal, before);
        _before.Clear();
    }
}
