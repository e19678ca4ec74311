using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>A question to a kernel subsystem that is answered by a list (man 7 netlink, NLM_F_DUMP).</summary>
internal static class NetlinkDump
{
    private const int SOCK_RAW = 3, NLMSG_ERROR = 2, NLMSG_DONE = 3, NLM_F_REQUEST = 1, NLM_F_DUMP = 0x300, NLM_F_DUMP_INTR = 0x10, HeaderSize = 16, Attempts = 10;

    /// <param name="each">Gets each answer's payload.</param>
    /// <param name="again">What was listed changed meanwhile, and all that came so far will come once more.</param>
    public static void Run(int protocol, int type, ReadOnlySpan<byte> request, Action<byte[]> each, Action again)
    {
        for (int attempt = 1; ; attempt++)
        {
            using var netlink = new DescriptorHandle(Sockets.Create(SocketConstants.AF_NETLINK, SOCK_RAW, protocol).OrThrowDescriptor("socket(AF_NETLINK)"));
            byte[] message = new byte[HeaderSize + request.Length];
            BinaryPrimitives.WriteInt32LittleEndian(message, message.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), (ushort)type);
            BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), NLM_F_REQUEST | NLM_F_DUMP);
            request.CopyTo(message.AsSpan(HeaderSize));
            Files.Write(netlink.Number, message).OrThrow("write of a netlink request");
            if (ReadAll(netlink.Number, each) || attempt == Attempts) return;
            again();
        }
    }

    /// <summary>False when the kernel says that the dump is torn.</summary>
    private static bool ReadAll(int netlink, Action<byte[]> each)
    {
        byte[] buffer = new byte[64 * 1024];
        bool whole = true;
        while (true)
        {
            int length = (int)Files.Read(netlink, buffer).OrThrow("read of a netlink answer");
            for (int at = 0; at + HeaderSize <= length;)
            {
                // struct nlmsghdr: nlmsg_len, nlmsg_type, nlmsg_flags, nlmsg_seq, nlmsg_pid
                int size = BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(at));
                if (size < HeaderSize || at + size > length) return whole;
                int type = BinaryPrimitives.ReadUInt16LittleEndian(buffer.AsSpan(at + 4));
                if ((BinaryPrimitives.ReadUInt16LittleEndian(buffer.AsSpan(at + 6)) & NLM_F_DUMP_INTR) != 0) whole = false;
                if (type == NLMSG_DONE) return whole;
                if (type == NLMSG_ERROR) new SysResult(BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(at + HeaderSize))).OrThrow("netlink dump");
                else each(buffer.AsSpan(at + HeaderSize, size - HeaderSize).ToArray());
                at += (size + 3) & ~3;
            }
        }
    }
}
