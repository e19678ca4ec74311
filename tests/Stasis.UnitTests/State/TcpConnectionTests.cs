using System.Net;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.InternetSocket;
using Stasis.State.Descriptors.TcpConnection;

namespace Stasis.UnitTests.State;

public sealed class TcpConnectionTests
{
    private static byte[] Four(byte last, byte port) => [2, 0, 0, port, 10, 0, 0, last, 0, 0, 0, 0, 0, 0, 0, 0];

    private static byte[] Mapped(byte last, byte port) => [10, 0, 0, port, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last, 0, 0, 0, 0];

    private static TcpConnectionRecord Connection(int id, byte[] address, byte[] peer) =>
        new() { Id = id, Family = 2, Address = address, Peer = peer, Phase = TcpPhase.Established, Written = "tcp-1-written", WrittenLength = 3, UnsentLength = 2 };

    [Fact]
    public void An_address_moves_and_keeps_its_port()
    {
        (IPAddress old, IPAddress now) = (IPAddress.Parse("10.0.0.5"), IPAddress.Parse("10.0.0.7"));
        Assert.Equal(Four(7, 80), InternetAddress.Move(Four(5, 80), old, now));
        Assert.Equal(Mapped(7, 80), InternetAddress.Move(Mapped(5, 80), old, now));
        Assert.Null(InternetAddress.Move(Four(6, 80), old, now));
        Assert.Null(InternetAddress.Move([1, 2, 3], old, now));
    }

    [Fact]
    public void Two_ends_in_one_image_are_not_outside()
    {
        TcpConnectionRecord one = Connection(1, Four(1, 1), Four(2, 2)), other = Connection(2, Four(2, 2), Four(1, 1)), outer = Connection(3, Four(1, 1), Four(3, 3));
        Assert.True(one.Meets(other) && other.Meets(one) && !one.Meets(outer) && !one.Meets(one));
        Assert.Equal(1, TcpConnectionRecord.Outer([one, other, outer]));
        Assert.Equal(2, TcpConnectionRecord.Outer([one, outer]));
    }

    [Fact]
    public void A_closed_connection_has_nothing_to_send_and_no_peer()
    {
        TcpConnectionRecord closed = Connection(1, Four(1, 1), Four(2, 2)).Closed();
        Assert.Equal((TcpPhase.Ended, true, 0, 0), (closed.Phase, closed.Reset, closed.WrittenLength, closed.UnsentLength));
        Assert.Null(closed.Written);
        Assert.Empty(closed.Peer);
    }
}
