using Xunit;

namespace Stasis.ProcessTests;

/// <summary>Real servers with clients outside of the tree, which notice nothing but a pause. The longest form is ./run servers.</summary>
public sealed class NetworkTests
{
    private const int ShortLimitSeconds = 60;
    private const int LongLimitSeconds = 720;

    [Theory]
    [InlineData("redis")]
    public void A_client_outside_notices_nothing(string server) => Script(server, ShortLimitSeconds);

    [Theory]
    [InlineData("moved")]
    [InlineData("closed")]
    [InlineData("waiting")]
    [InlineData("news")]
    public void A_connection_follows_the_restart(string what) => Script(what, ShortLimitSeconds);

    [Trait("tier", "long")]
    [Theory]
    [InlineData("nginx")]
    [InlineData("redis6")]
    [InlineData("memcached")]
    [InlineData("postgresql")]
    [InlineData("sshd")]
    [InlineData("node")]
    [InlineData("kestrel")]
    [InlineData("go")]
    public void Clients_outside_notice_nothing(string server) => Script(server, LongLimitSeconds);

    [Trait("tier", "long")]
    [Fact]
    public void Connections_follow_to_another_host() => Script("hosts", LongLimitSeconds);

    [Trait("tier", "long")]
    [Theory]
    [InlineData("killed")]
    [InlineData("killed_restart")]
    [InlineData("killed_end")]
    [InlineData("arriving")]
    public void A_killed_tool_loses_no_connection(string what) => Script(what, LongLimitSeconds);

    private static void Script(string name, int limitSeconds) => Cage.Script($"network-{name}", $". $tests/network/network.bash\n. $tests/network/{name}.bash", limitSeconds);
}
