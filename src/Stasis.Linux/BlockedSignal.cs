namespace Stasis.Linux;

/// <summary>Blocks a signal in the calling thread for a while (man 2 sigprocmask).</summary>
public readonly ref struct BlockedSignal
{
    private const int SIG_BLOCK = 0, SIG_SETMASK = 2;
    private readonly ulong _before;

    public BlockedSignal(int signal) => _before = Change(SIG_BLOCK, Signals.Bit(signal));
    public void Dispose() => Change(SIG_SETMASK, _before);

    private static unsafe ulong Change(int how, ulong mask)
    {
        ulong before;
        Kernel.Call(Syscall.rt_sigprocmask, how, (nint)(&mask), (nint)(&before), sizeof(ulong)).OrThrow("rt_sigprocmask");
        return before;
    }
}
