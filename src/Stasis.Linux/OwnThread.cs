using System.Runtime.ExceptionServices;

namespace Stasis.Linux;

/// <summary>
/// Runs work on a thread that shares less with the rest of this process (man 2 unshare): a descriptor table of its own, where any
/// number may be taken for a moment, or a root and current directory of its own. The thread ends with the work, and with it what
/// it had of its own.
/// </summary>
public static class OwnThread
{
    public const int CLONE_FS = 0x200, CLONE_FILES = 0x400;
    private const int SIG_BLOCK = 0;

    public static void Run(int unshared, Action work)
    {
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                BlockOrdinarySignals();
                Kernel.Call(Syscall.unshare, unshared).OrThrow($"unshare({unshared:x})");
                work();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    // Signal handlers, the runtime's and SignalWatch's, write to a pipe by its number, which may be something else in our table. Its own realtime
    // signal, by which it stops threads for the garbage collector, must stay open; it touches no descriptor.
    private static void BlockOrdinarySignals()
    {
        Span<ulong> mask = [0x7fff_ffff & ~(Signals.Bit(Signals.SIGSEGV) | Signals.Bit(Signals.SIGTRAP) | Signals.Bit(Signals.SIGABRT) | Signals.Bit(4) | Signals.Bit(7) | Signals.Bit(8))];
        Kernel.CallWith(mask, address => Kernel.Call(Syscall.rt_sigprocmask, SIG_BLOCK, address, 0, sizeof(ulong))).OrThrow("rt_sigprocmask");
    }
}
