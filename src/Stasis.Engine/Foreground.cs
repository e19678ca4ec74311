using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.Engine;

/// <summary>Stands in for the tree in the foreground: forwards signals, stops and goes on with it as a job of our shell, and ends as it ends.</summary>
internal static class Foreground
{
    /// <summary>How the child ended, as a shell tells it.</summary>
    /// <param name="waited">Our child: the root, or the init of its namespace.</param>
    /// <param name="root">Who gets the signals.</param>
    /// <param name="place">The terminals of a restart; null for a command that has just inherited ours.</param>
    public static int WaitFor(int waited, int root, TerminalPlace? place = null)
    {
        // In the terminal's foreground group the tree gets its keys from the terminal itself.
        bool sharesGroup = ProcStat.Read(root) is { } stat && ProcStat.Read(Environment.ProcessId) is { } own && stat.ProcessGroup == own.ProcessGroup;
        bool fromTerminal = sharesGroup && Terminals.Is(0);
        bool isBetween = place is { Between: not null };
        Relay? relay = null;
        bool ended = false;
        var gate = new Lock(); // who hears of a signal when the tree has ended leaves the terminal, and whoever has its id by then, alone
        Dictionary<int, Action> actions = new()
        {
            [Signals.SIGCONT] = UnlessEnded(() => relay?.TakeTerminal()),
            [Signals.SIGWINCH] = isBetween ? place!.CopySize : Forward(Signals.SIGWINCH, !fromTerminal),
            [Signals.SIGINT] = Forward(Signals.SIGINT, !fromTerminal),
            [Signals.SIGQUIT] = Forward(Signals.SIGQUIT, !fromTerminal),
        };
        foreach (int signal in (ReadOnlySpan<int>)[Signals.SIGTERM, Signals.SIGHUP, Signals.SIGUSR1, Signals.SIGUSR2]) actions[signal] = Forward(signal, true);
        using var watch = new SignalWatch(actions);
        if (place is { Own: { } outer, Between: { } between }) relay = new Relay(outer, between);
        place?.Redraw();
        try
        {
            bool isJob = place is { Given: true };
            while (true)
            {
                WaitStatus status = Next(waited, root, isJob);
                if (status.Exited) return status.ExitCode;
                if (status.Signaled) return 128 + status.TerminationSignal;
                place!.StopWith(root);
            }
        }
        finally
        {
            lock (gate) ended = true;
            relay?.Dispose();
            place?.TakeBack();
        }

        Action Forward(int signal, bool forwards) => forwards ? UnlessEnded(() => Signals.Send(root, signal)) : () => { };

        Action UnlessEnded(Action action) => () =>
        {
            lock (gate)
                if (!ended) action();
        };
    }

    // A root that is not our child (its parent is the init of its namespace) tells us nothing when it stops: it is looked at.
    private static WaitStatus Next(int waited, int root, bool isJob)
    {
        const int LookMilliseconds = 50;
        while (true)
        {
            (SysResult result, WaitStatus? status) = isJob && waited != root ? Wait.Poll(waited) : Wait.Blocking(waited, Wait.__WALL | (isJob ? Wait.WUNTRACED : 0));
            if (result.Errno == Errno.EINTR) continue;
            if (status is { } news) return news;
            if (result.Failed) return new WaitStatus(0);
            if (ProcStat.Read(root) is { State: 'T' }) return new WaitStatus(Signals.SIGSTOP << 8 | 0x7f);
            Pause.Microseconds(LookMilliseconds * 1000);
        }
    }
}
