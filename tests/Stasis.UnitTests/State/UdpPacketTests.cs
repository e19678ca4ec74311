using Stasis.State.Descriptors.InternetSocket;
using Xunit;

namespace Stasis.UnitTests.State;

/// <summary>Packets that put waiting datagrams back; what they must be is what RFC 791, 768 and 8200 say.</summary>
public sealed class UdpPacketTests
{
    [Theory]
    [InlineData(new byte[0])]
    [InlineData(new byte[] { 1 })]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xfe })]
    public void Its_checksum_holds_over_IPv4(byte[] data)
    {
        byte[] source = [198, 51, 100, 7], destination = [127, 0, 0, 1];
        byte[] packet = UdpPacket.Build(17, source, 53, destination, 4660, data);
        Assert.Equal(28 + data.Length, packet.Length);
        Assert.Equal(0x45, packet[0]);
        Assert.Equal(17, packet[9]);
        Assert.Equal(source, packet[12..16]);
        Assert.Equal(destination, packet[16..20]);
        Assert.Equal([0, 53, 0x12, 0x34, 0, (byte)(8 + data.Length)], packet[20..26]);
        Assert.Equal(0xffff, InternetSum.Of(source, destination, [0, 17, 0, (byte)(8 + data.Length)], packet[20..]));
    }

    [Fact]
    public void Its_checksum_holds_over_IPv6()
    {
        byte[] source = [.. Enumerable.Range(1, 16).Select(i => (byte)i)], destination = [.. new byte[15], 1];
        byte[] packet = UdpPacket.Build(17, source, 1, destination, 2, "odd"u8);
        Assert.Equal(51, packet.Length);
        Assert.Equal(0x60, packet[0]);
        Assert.Equal(11, packet[5]);
        Assert.Equal(17, packet[6]);
        Assert.Equal(source, packet[8..24]);
        Assert.Equal(0xffff, InternetSum.Of(source, destination, [0, 17, 0, 11], packet[40..]));
    }
}
