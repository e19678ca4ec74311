using Stasis.State.Processes;

namespace Stasis.UnitTests.State;

public sealed class KinshipTests
{
    private const int CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800, CLONE_PARENT = 0x8000, SIGCHLD = 17;

    private static Kin Alone(int pid, int parent) => new(pid, parent, 1, SIGCHLD, pid, pid, pid, pid);

    private static Kinship With(params Kin[] kin)
    {
        var kinship = new Kinship();
        foreach (Kin one in kin) Assert.NotNull(kinship.Add(one));
        return kinship;
    }

    [Fact]
    public void Who_shares_nothing_is_made_by_its_parent() => Assert.Equal((10, 0), With(Alone(10, 0), Alone(11, 10)).Add(Alone(12, 10)));

    [Fact]
    public void Who_shares_with_its_parent_is_made_by_it_with_these_flags()
    {
        Kin child = Alone(11, 10) with { Memory = 10, Handlers = 10, Table = 10 };
        Assert.Equal((10, CLONE_VM | CLONE_SIGHAND | CLONE_FILES), With(Alone(10, 0)).Add(child));
    }

    [Fact]
    public void Who_shares_with_a_sibling_is_made_by_that_as_its_sibling()
    {
        Kinship kinship = With(Alone(10, 0), Alone(11, 10), Alone(12, 10));
        Assert.Equal((12, CLONE_FS | CLONE_PARENT), kinship.Add(Alone(13, 10) with { Places = 12 }));
    }

    [Fact]
    public void A_sibling_with_another_exit_signal_can_not_make_it() =>
        Assert.Null(With(Alone(10, 0), Alone(11, 10)).Add(Alone(12, 10) with { Places = 11, ExitSignal = 0 }));

    [Fact]
    public void Who_shares_with_neither_can_not_be_made() => Assert.Null(With(Alone(10, 0), Alone(11, 10)).Add(Alone(12, 11) with { Places = 10 }));

    [Fact]
    public void Who_shares_one_thing_here_and_another_there_can_not_be_made() =>
        Assert.Null(With(Alone(10, 0), Alone(11, 10)).Add(Alone(12, 10) with { Places = 10, Table = 11 }));

    [Fact]
    public void Who_was_adopted_from_another_session_can_not_share() =>
        Assert.Null(With(Alone(10, 0)).Add(Alone(11, 10) with { Session = 5, Places = 10 }));
}
