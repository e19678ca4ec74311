namespace Stasis.ProcessTests;

/// <summary>The victims of tests/victims, by whether they are carried or refused, as their sources say.</summary>
internal static class Victims
{
    /// <summary>Victims that are carried, without those that something else drives or that are a matter of scale.</summary>
    public static IEnumerable<string> Carried => All.Where(victim => !Says(victim, "refused") && !Says(victim, "scale") && !Says(victim, "terminal") && !Says(victim, "driven"));

    public static IEnumerable<string> Refused => All.Where(victim => Says(victim, "refused"));

    public static IEnumerable<string> Large => All.Where(victim => Says(victim, "scale"));

    /// <summary>"// tier: long REASON" in its source keeps a victim out of the gate.</summary>
    public static bool IsLong(string victim) => Says(victim, "tier");

    private static IEnumerable<string> All =>
        Directory.GetFiles(Path.Combine(Cage.Home, "tests/victims"), "*.c").Select(Name).Order(StringComparer.Ordinal);

    private static string Name(string path) => Path.GetFileNameWithoutExtension(path);

    private static bool Says(string victim, string what) =>
        File.ReadLines(Path.Combine(Cage.Home, "tests/victims", victim + ".c"))
            .Any(line => line.StartsWith($"// {what}: ", StringComparison.Ordinal));
}

/// <summary>
/// The gate's form: a checkpoint that leaves it running, one that kills it, restart; the victim checks itself, and /proc tells the same as before.
/// </summary>
public sealed class Victim
{
    public static TheoryData<string> Short => [.. Victims.Carried.Where(victim => !Victims.IsLong(victim))];

    public static TheoryData<string> Refused => [.. Victims.Refused.Where(victim => !Victims.IsLong(victim))];

    [Theory]
    [MemberData(nameof(Short))]
    public void ComesBack(string victim) => Cage.DriveShortly(victim, "short");

    /// <summary>What is not carried is refused by name before anything is touched.</summary>
    [Theory]
    [MemberData(nameof(Refused))]
    public void IsRefusedByName(string victim) => Cage.DriveShortly(victim, "refused");
}

/// <summary>Without a checkpoint every victim passes its own check, so what fails elsewhere is not the victim's doing.</summary>
[Trait("tier", "long")]
public sealed class VictimAlone
{
    public static TheoryData<string> All => [.. Victims.Carried, .. Victims.Refused];

    [Theory]
    [MemberData(nameof(All))]
    public void Passes(string victim) => Cage.Drive(victim, "alone");
}

/// <summary>What the gate leaves out.</summary>
[Trait("tier", "long")]
public sealed class VictimLong
{
    public static TheoryData<string> Killed => [.. Victims.Carried.Where(Victims.IsLong)];

    public static TheoryData<string> Refused => [.. Victims.Refused.Where(Victims.IsLong)];

    [Theory]
    [MemberData(nameof(Killed))]
    public void ComesBack(string victim) => Cage.Drive(victim, "kill");

    [Theory]
    [MemberData(nameof(Refused))]
    public void IsRefusedByName(string victim) => Cage.Drive(victim, "refused");
}

/// <summary>Checkpoint and leave running: the original notices nothing, and the image restarts after its end.</summary>
[Trait("tier", "long")]
public sealed class VictimLeftRunning
{
    public static TheoryData<string> All => [.. Victims.Carried];

    [Theory]
    [MemberData(nameof(All))]
    public void GoesOnAndComesBack(string victim) => Cage.Drive(victim, "leave");
}

/// <summary>What was restarted is checkpointed and restarted again; nothing of ours is left in it, by /proc.</summary>
[Trait("tier", "long")]
public sealed class VictimGenerations
{
    public static TheoryData<string> All => [.. Victims.Carried];

    [Theory]
    [MemberData(nameof(All))]
    public void ComesBackTenTimes(string victim) => Cage.Drive(victim, "generations 10");
}

/// <summary>A thousand of this, ten thousand of that: carried as well, within a fixed amount of memory of our own.</summary>
[Trait("tier", "long")]
[Trait("alone", "they take much memory")]
public sealed class VictimLarge
{
    public static TheoryData<string> All => [.. Victims.Large];

    [Theory]
    [MemberData(nameof(All))]
    public void ComesBack(string victim) => Cage.Drive(victim, "kill");
}

/// <summary>Trees of any shape, by chance: sessions, groups, dead parents and leaders, zombies, subreapers.</summary>
[Trait("tier", "long")]
public sealed class VictimTrees
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void ComesBack(int seed) => Cage.Drive("tree_random", "generations 2", $"VICTIM_SEED={seed}");
}
