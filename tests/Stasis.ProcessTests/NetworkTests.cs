using Xunit;

namespace Stasis.ProcessTests;

/// <summary>Real servers with clients outside of the tree, which notice nothing but a pause. The long form is ./run servers.</summary>
public sealed class NetworkTests
{
    [Theory]
    [InlineData("nginx")]
    [InlineData("redis")]
    [InlineData("redis6")]
    [InlineData("memcached")]
    [InlineData("postgresql")]
    [InlineData("sshd")]
    [InlineData("node")]
    [InlineData("kestrel")]
    [InlineData("go")]
    public void Clients_outside_notice_nothing(string server) => Script(server);

    [Theory]
    [InlineData("moved")]
    [InlineData("closed")]
    [InlineData("hosts")]
    [InlineData("waiting")]
    [InlineData("news")]
    public void Connections_follow_the_restart(string what) => Script(what);

    [Theory]
    [InlineData("killed")]
    [InlineData("killed_restart")]
    [InlineData("killed_end")]
    [InlineData("arriving")]
    public void A_killed_tool_loses_no_connection(string what) => Script(what);

    private static void Script(string name) => Cage.Script($"network-{name}", $". $tests/network/network.bash\n. $tests/network/{name}.bash", limitSeconds: 240);
}
