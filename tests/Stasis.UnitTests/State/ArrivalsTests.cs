using Stasis.Linux;
using Stasis.State.Descriptors.InternetSocket;

namespace Stasis.UnitTests.State;

/// <summary>By which listener a connection came that nobody has accepted.</summary>
public sealed class ArrivalsTests
{
    private static byte[] Address(string host, int port) => InternetAddress.Of(System.Net.IPAddress.Parse(host).GetAddressBytes(), port);

    private static InetSocketState Listener(string host, int port) => new(2, SocketConstants.TCP_LISTEN, Address(host, port), [], [], 0, 1, false);

    [Theory]
    [InlineData("10.0.0.1", 80, "10.0.0.1", 80, true)]
    [InlineData("10.0.0.1", 80, "10.0.0.1", 81, false)]
    [InlineData("10.0.0.1", 80, "10.0.0.2", 80, false)]
    [InlineData("0.0.0.0", 80, "10.0.0.2", 80, true)]
    [InlineData("0.0.0.0", 80, "fd00::2", 80, false)]
    [InlineData("::", 80, "fd00::2", 80, true)]
    [InlineData("::", 80, "::ffff:10.0.0.2", 80, true)]
    [InlineData("10.0.0.2", 80, "::ffff:10.0.0.2", 80, true)]
    public void A_listener_has_its_own(string listener, int port, string host, int at, bool its) =>
        Assert.Equal(its, Arrivals.IsAt(Address(listener, port), Address(host, at), [Listener(listener, port)]));

    [Fact]
    public void One_at_the_very_host_goes_before_one_at_any() =>
        Assert.False(Arrivals.IsAt(Address("0.0.0.0", 80), Address("10.0.0.2", 80), [Listener("0.0.0.0", 80), Listener("10.0.0.2", 80)]));
}
