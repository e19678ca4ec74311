namespace Stasis.State.Processes;

/// <summary>What of a process is decided at its birth: whose child it is, and with whom it shares what clone(2) can share. The same number, the same object.</summary>
public sealed record Kin(int Pid, int Parent, int Session, int ExitSignal, int Memory, int Handlers, int Places, int Table)
{
    public static Kin Of(ProcessRecord process) => new(process.Pid, process.Parent, process.Session, process.ExitSignal, Group(process.SharesMemoryWith, process), Group(process.SharesHandlersWith, process),
        Group(process.SharesPlacesWith, process), process.DescriptorTable);

    private static int Group(int owner, ProcessRecord process) => owner == 0 ? process.Pid : owner;
}

/// <summary>
/// Who must make a process at a restart, and with which flags of clone(2), so that it shares what it shared: its parent, or a sibling
/// (CLONE_PARENT). Any number of processes may share; what can't be had is to share with none of these two.
/// </summary>
public sealed class Kinship
{
    private const int CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800, CLONE_PARENT = 0x8000;
    private static readonly (int Flag, Func<Kin, int> Of)[] s_kinds =
        [(CLONE_VM, kin => kin.Memory), (CLONE_SIGHAND, kin => kin.Handlers), (CLONE_FS, kin => kin.Places), (CLONE_FILES, kin => kin.Table)];
    private readonly HashSet<(int Flag, int Group)> _seen = [];
    private readonly Dictionary<int, Kin> _byPid = [];
    private readonly Dictionary<int, List<Kin>> _sharingChildren = [];

    /// <summary>Who makes it, and with which flags; null when nobody can. To be asked for every living process, parents first.</summary>
    public (int Creator, int Flags)? Add(Kin kin)
    {
        int flags = 0;
        foreach ((int flag, Func<Kin, int> of) in s_kinds) if (!_seen.Add((flag, of(kin)))) flags |= flag;
        _byPid[kin.Pid] = kin;
        (int, int)? answer = (kin.Parent, 0);
        if (flags != 0) answer = Creator(kin, flags);
        if (!_sharingChildren.TryGetValue(kin.Parent, out List<Kin>? siblings)) _sharingChildren[kin.Parent] = siblings = [];
        if (flags != 0 || siblings.Count < MaxSiblings) siblings.Add(kin);
        return answer;
    }

    // Of the siblings that share nothing with one before them only so many are looked at.
    private const int MaxSiblings = 1000;

    private (int, int)? Creator(Kin kin, int flags)
    {
        if (!_byPid.TryGetValue(kin.Parent, out Kin? parent)) return null;
        // Of another session than its parent's it was adopted by it, and is made in another way.
        if (kin.Session != parent.Session && kin.Session != kin.Pid) return null;
        if (Agree(kin, parent, flags)) return (parent.Pid, flags);
        // By CLONE_PARENT it gets its maker's exit signal (man 2 clone).
        Kin? sibling = _sharingChildren.GetValueOrDefault(kin.Parent)?.FirstOrDefault(sibling => sibling.ExitSignal == kin.ExitSignal && Agree(kin, sibling, flags));
        return sibling is null ? null : (sibling.Pid, flags | CLONE_PARENT);
    }

    private static bool Agree(Kin a, Kin b, int flags)
    {
        foreach ((int flag, Func<Kin, int> of) in s_kinds) if ((flags & flag) != 0 && of(a) != of(b)) return false;
        return true;
    }
}
