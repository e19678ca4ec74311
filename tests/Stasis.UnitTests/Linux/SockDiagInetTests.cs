using Stasis.Linux;

namespace Stasis.UnitTests.Linux;

public sealed class SockDiagInetTests
{
    // struct inet_diag_msg of 10.0.0.1:80 to 10.0.0.2:4096, in state CLOSE_WAIT, with 300 bytes to be read.
    private static byte[] Message()
    {
        byte[] message = new byte[72];
        (message[0], message[1]) = (2, 8);
        byte[] ports = [0, 80, 16, 0], from = [10, 0, 0, 1], to = [10, 0, 0, 2];
        ports.CopyTo(message, 4);
        from.CopyTo(message, 8);
        to.CopyTo(message, 24);
        BitConverter.GetBytes(300).CopyTo(message, 56);
        BitConverter.GetBytes(4711u).CopyTo(message, 68);
        return message;
    }

    [Fact]
    public void A_connection_is_read()
    {
        InetSocketState socket = SockDiagInet.Parse(Message())!;
        Assert.Equal((2, 8, 300, 4711u, false), (socket.Family, socket.State, socket.ReceiveQueue, socket.Inode, socket.Signed));
        Assert.Equal<byte>([2, 0, 0, 80, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], socket.Address);
        Assert.Equal<byte>([2, 0, 16, 0, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0], socket.Peer);
    }

    [Fact]
    public void A_signature_shows() =>
        Assert.True(SockDiagInet.Parse([.. Message(), 6, 0, 8, 0, 1, 2, 0, 0, 4, 0, 18, 0])!.Signed);

    [Theory]
    [InlineData(0)]
    [InlineData(71)]
    public void What_is_too_short_is_none(int length) => Assert.Null(SockDiagInet.Parse(Message().AsSpan(0, length)));

    [Theory]
    [InlineData(new byte[] { 0, 0, 1, 0 })]
    [InlineData(new byte[] { 255, 255, 1, 0 })]
    [InlineData(new byte[] { 5, 0, 1, 0, 9 })]
    public void Attributes_that_lie_about_their_length_end_the_list(byte[] attributes) => Assert.False(SockDiagInet.Parse([.. Message(), .. attributes])!.Signed);
}
