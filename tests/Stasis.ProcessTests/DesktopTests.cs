namespace Stasis.ProcessTests;

/// <summary>A desktop session's worth of daemons: each explains itself to a check, and together they come back: tests/desktop.</summary>
[Trait("tier", "long")]
[Trait("alone", "21 daemons, and a screen that is compared")]
public sealed class DesktopTests
{
    [Fact]
    public void A_desktop_session_explains_itself_and_comes_back() =>
        Cage.Script("desktop", ". $tests/desktop/desktop.bash", limitSeconds: 720);
}
