using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>A netlink socket that asks the kernel about the sockets of our network namespace (man 7 sock_diag).</summary>
internal static class SockDiag
{
    private const int NETLINK_SOCK_DIAG = 4, SOCK_RAW = 3, SOCK_DIAG_BY_FAMILY = 20, NLM_F_REQUEST = 1, HeaderSize = 16;

    /// <summary>Sends one dump request and hands over each answer's payload. Sockets that come and go meanwhile make the kernel mark the dump as torn; it is asked again then.</summary>
    public static void Dump(ReadOnlySpan<byte> request, Action<byte[]> each, Action again) => NetlinkDump.Run(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, request, each, again);

    /// <summary>One request that is answered by an error number, zero when it went well.</summary>
    public static SysResult Ask(int type, ReadOnlySpan<byte> request)
    {
        const int NLM_F_ACK = 4;
        using var netlink = new DescriptorHandle(Sockets.Create(SocketConstants.AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG).OrThrowDescriptor("socket(AF_NETLINK, NETLINK_SOCK_DIAG)"));
        byte[] message = new byte[HeaderSize + request.Length], answer = new byte[4096];
        BinaryPrimitives.WriteInt32LittleEndian(message, message.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), (ushort)type);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), NLM_F_REQUEST | NLM_F_ACK);
        request.CopyTo(message.AsSpan(HeaderSize));
        SysResult sent = Files.Write(netlink.Number, message);
        if (sent.Failed) return sent;
        SysResult read = Files.Read(netlink.Number, answer);
        return read.Failed ? read : new SysResult(BinaryPrimitives.ReadInt32LittleEndian(answer.AsSpan(HeaderSize)));
    }
}
