namespace Stasis.Linux;

/// <summary>Signal numbers and masks (man 7 signal). A mask has bit N-1 for signal N.</summary>
public static class Signals
{
    public const int SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGTRAP = 5, SIGABRT = 6, SIGKILL = 9, SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12,
        SIGPIPE = 13, SIGALRM = 14, SIGTERM = 15, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22,
        SIGURG = 23, SIGWINCH = 28;
    public const int Count = 64;
    public static ulong Bit(int signal) => 1ul << (signal - 1);

    /// <summary>Those that do nothing where the program has not asked for them (man 7 signal).</summary>
    public static readonly ulong IgnoredByDefault = Bit(SIGCHLD) | Bit(SIGCONT) | Bit(SIGURG) | Bit(SIGWINCH);
    public static bool IsStop(int signal) => signal is SIGSTOP or SIGTSTP or SIGTTIN or SIGTTOU;

    private static readonly string[] s_names =
        ["", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",
         "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU",
         "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS"];
    public static string Name(int signal) => signal > 0 && signal < s_names.Length ? s_names[signal] : $"signal {signal}";

    public static SysResult Send(int pid, int signal) => Kernel.Call(Syscall.kill, pid, signal);
    public static SysResult SendToThread(int tgid, int tid, int signal) => Kernel.Call(Syscall.tgkill, tgid, tid, signal);
}
