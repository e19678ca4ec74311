using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Descriptors.OuterStream;

namespace Stasis.Engine;

/// <summary>
/// Which terminals a restarted tree has whose own is outside of it. In most cases ours. A tree whose root leads a session needs one
/// that is no other session's: ours, if we lead its session and nobody else needs it (`xterm -e stasis restart`), else a new
/// pseudo-terminal, with a <see cref="Relay"/> between that and ours, as ssh and script do.
/// </summary>
internal sealed class TerminalPlace : IDisposable
{
    private readonly int _ownGroup = ProcStat.Read(Environment.ProcessId)?.ProcessGroup ?? 0;
    private bool _usedOuter;

    public OuterTerminal? Own { get; } = OuterTerminal.Own();
    public OuterTerminal? Between { get; private set; }

    /// <summary>Whether the session of the root takes our own terminal over.</summary>
    public bool TakenOver { get; private set; }

    /// <summary>Whether the tree is a job on our terminal, in a group of its own.</summary>
    public bool Given { get; private set; }

    public OuterTerminal? ForTree => Between ?? Own;

    /// <param name="hasOuter">Whether anything of the tree is on a terminal outside of it.</param>
    /// <param name="rootControls">Whether the root leads a session that such a terminal controls.</param>
    public TerminalPlace(bool hasOuter, bool rootControls, bool detach)
    {
        _usedOuter = hasOuter && Own is not null;
        if (!rootControls || detach || Own is null) return;
        bool weLead = ProcStat.Read(Environment.ProcessId) is { } own && own.Session == own.ProcessGroup;
        // From under a shell with job control it would be stolen; that puts its jobs into groups of their own.
        TakenOver = weLead && Terminals.Is(0);
        if (!TakenOver) Between = OuterTerminal.InFrontOf(Own);
    }

    /// <summary>Before the tree goes on: its job that was in the foreground is so again, if we are.</summary>
    public void Give(int group, int session)
    {
        if (Own is null || Between is not null || TakenOver || !_usedOuter) return;
        if (ProcStat.Read(Environment.ProcessId)?.Session != session || group == _ownGroup) return;
        Given = true;
        if (Own.InForeground) Own.GiveTo(group);
    }

    public void Redraw()
    {
        if (_usedOuter) ForTree?.Redraw();
    }

    public void CopySize()
    {
        if (Own is not null && Between is not null) Terminals.CopySize(Own.Number, Between.Number);
    }

    /// <summary>The root was stopped (Ctrl-Z): we stop too, so that our shell has the terminal, and go on with it.</summary>
    public void StopWith(int root)
    {
        int rootGroup = ProcStat.Read(root)?.ProcessGroup ?? 0, held = Own!.ForegroundGroup;
        byte[]? settings = Own.Settings;
        // Nobody would ever let an orphaned group go on (man 3 exit, "orphaned"): then there is no stopping.
        if (!IsOrphaned())
        {
            if (held != _ownGroup) TakeBack();
            Signals.Send(0, Signals.SIGSTOP);
            if (Own.InForeground)
            {
                if (settings is not null) Own.Set(settings);
                if (held != _ownGroup) Own.GiveTo(held);
            }
        }
        if (rootGroup > 1) Signals.Send(-rootGroup, Signals.SIGCONT);
    }

    private bool IsOrphaned() => ProcStat.Read(Environment.ProcessId) is not { } own || ProcStat.Read(own.ParentPid) is not { } parent
        || parent.Session != own.Session || parent.ProcessGroup == own.ProcessGroup;

    /// <summary>The terminal is our shell's again, with the settings that it had.</summary>
    public void TakeBack()
    {
        if (!Given || Own is null) return;
        Own.GiveTo(_ownGroup);
        Own.SetBack();
    }

    public void Dispose()
    {
        Own?.Dispose();
        Between?.Dispose();
    }
}
