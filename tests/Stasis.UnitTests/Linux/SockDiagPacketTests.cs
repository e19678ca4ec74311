using Stasis.Linux;
using Xunit;

namespace Stasis.UnitTests.Linux;

public sealed class SockDiagPacketTests
{
    private static readonly byte[] s_message =
    [
        17, 3, 0x88, 0xb5, 0x2a, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
        48, 0, 1, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 6, 0, 1, 0, 0x5e, 1, 2, 3, .. new byte[26],
        8, 0, 4, 0, 1, 0, 0, 0,
    ];

    [Fact]
    public void Memberships_and_the_group_are_read()
    {
        PacketSocketState? socket = SockDiagPacket.Parse(s_message);
        Assert.NotNull(socket);
        Assert.Equal(42u, socket.Inode);
        Assert.Equal(1, socket.Fanout);
        Assert.Null(socket.Ring);
        PacketMembership membership = Assert.Single(socket.Memberships);
        Assert.Equal((5, 0), (membership.Interface, membership.Type));
        Assert.Equal([1, 0, 0x5e, 1, 2, 3], membership.Address);
    }

    [Fact]
    public void A_ring_is_read()
    {
        byte[] message = [17, 3, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 32, 0, 2, 0, 0, 0x20, 0, 0, 4, 0, 0, 0, 0, 8, 0, 0, 16, 0, 0, 0, 60, 0, 0, 0, 64, 0, 0, 0, 1, 0, 0, 0];
        Assert.Equal(new PacketRingShape(0x2000, 4, 0x800, 16, 60, 64, 1), SockDiagPacket.Parse(message)?.Ring);
        message[18] = 3;
        Assert.True(SockDiagPacket.Parse(message) is { Ring: null, Sends: true });
        Assert.Null(SockDiagPacket.Parse(message.AsSpan(0, 40))?.Ring);
    }

    [Fact]
    public void Nothing_is_read_beyond_the_end()
    {
        for (int length = 0; length < s_message.Length; length++) Assert.Equal(length < 16, SockDiagPacket.Parse(s_message.AsSpan(0, length)) is null);
    }
}
