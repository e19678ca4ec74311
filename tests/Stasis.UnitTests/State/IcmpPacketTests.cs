using Stasis.State.Descriptors.InternetSocket;
using Xunit;

namespace Stasis.UnitTests.State;

/// <summary>Messages that bring errors back; what they must be is what RFC 792 and 4443 say.</summary>
public sealed class IcmpPacketTests
{
    private static InternetError Error(int type, int code, uint information, byte[] offender, byte[] destination) =>
        new() { Type = type, Code = code, Information = information, Offender = offender, Local = new byte[offender.Length], Destination = destination, Port = 4444, Content = [1, 2, 3] };

    [Theory]
    [InlineData(3, 3, 0u, new byte[] { 0, 0, 0, 0 })]
    [InlineData(3, 4, 1200u, new byte[] { 0, 0, 0x04, 0xb0 })]
    [InlineData(12, 0, 20u, new byte[] { 20, 0, 0, 0 })]
    public void Over_IPv4_the_datagram_is_quoted(int type, int code, uint information, byte[] rest)
    {
        byte[] offender = [192, 0, 2, 7], local = [127, 0, 0, 1], destination = [192, 0, 2, 99];
        byte[] packet = IcmpPacket.Build(Error(type, code, information, offender, destination), local, 17, 0x1234);
        Assert.Equal(20 + 8 + 20 + 8 + 3, packet.Length);
        Assert.Equal(1, packet[9]);
        Assert.Equal([.. offender, .. local], packet[12..20]);
        Assert.Equal([(byte)type, (byte)code], packet[20..22]);
        Assert.Equal(rest, packet[24..28]);
        Assert.Equal(0xffff, InternetSum.Of(packet[20..]));
        Assert.Equal(17, packet[28 + 9]);
        Assert.Equal([.. local, .. destination], packet[(28 + 12)..(28 + 20)]);
        Assert.Equal([0x12, 0x34, 0x11, 0x5c, 0, 11], packet[48..54]);
        Assert.Equal([1, 2, 3], packet[56..]);
    }

    [Fact]
    public void Over_IPv6_the_addresses_count_too()
    {
        byte[] offender = [.. Enumerable.Range(1, 16).Select(i => (byte)i)], local = [.. new byte[15], 1], destination = [.. Enumerable.Range(101, 16).Select(i => (byte)i)];
        byte[] packet = IcmpPacket.Build(Error(2, 0, 1280, offender, destination), local, 136, 7);
        Assert.Equal(40 + 8 + 40 + 8 + 3, packet.Length);
        Assert.Equal(58, packet[6]);
        Assert.Equal([2, 0], packet[40..42]);
        Assert.Equal([0, 0, 5, 0], packet[44..48]);
        Assert.Equal(0xffff, InternetSum.Of(offender, local, [0, 58, 0, (byte)(packet.Length - 40)], packet[40..]));
        Assert.Equal(136, packet[48 + 6]);
        Assert.Equal(destination, packet[(48 + 24)..(48 + 40)]);
    }
}
