namespace Stasis.ProcessTests;

/// <summary>A desktop session's worth of daemons: each explains itself to a check, and together they come back: tests/desktop.</summary>
public sealed class DesktopTests
{
    [Fact]
    public void A_desktop_session_explains_itself_and_comes_back() =>
        Cage.Script("desktop", ". $tests/desktop/desktop.bash", limitSeconds: 240);
}
