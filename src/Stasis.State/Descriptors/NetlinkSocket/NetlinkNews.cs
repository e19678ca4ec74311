using System.Buffers.Binary;
using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.NetlinkSocket;

/// <summary>
/// What the kernel has told the groups of a netlink socket, and its program has not read. Only the kernel can send that; but it has a word for
/// "you have missed something", upon which a program looks again by itself (ENOBUFS, man 7 netlink), and that can be had.
/// </summary>
internal static class NetlinkNews
{
    private const int AddressLength = 12, NLMSG_NOOP = 1, NLM_F_REQUEST = 1, NLM_F_ACK = 4, HeaderLength = 16, MostAnswers = 64, MostWait = 5000;

    /// <summary>SELinux and the route lookup answer no message of this kind.</summary>
    public static bool CanBeTold(int protocol) => protocol is not (7 or 10 or 21);

    /// <summary>Why what waits at a socket of ours can't be given up for that word; null when it can.</summary>
    public static string? Obstacle(int own)
    {
        if (KernelSight.Unavailable() is { } why) return $"they can't be looked at: {why}";
        KernelObject socket = KernelSocket.Of(own, "netlink_sock");
        if ((int)socket["sk.sk_err"] is var error && error != 0 && (Errno)error != Errno.ENOBUFS) return $"an error waits ({(Errno)error})";
        foreach (KernelObject packet in KernelSocket.Queue(socket, "sk.sk_receive_queue"))
            if (new KernelObject("netlink_skb_parms", packet.At("cb"))["dst_group"] == 0) return "one is an answer to a request";
        return null;
    }

    /// <summary>
    /// Leaves nothing but that word in a socket without groups whose queue is empty: answers wait until the queue has no room, then another comes. Read
    /// first, they would take the word along; so they are being read, into a page at which the readers wait, when the last one comes.
    /// </summary>
    public static void TellOfOverflow(int socket)
    {
        using var small = new ReceiveBuffer(socket, 0);
        List<Thread> readers = [];
        using (var page = new HeldPage())
        {
            try
            {
                while (Asked(socket) is var events && (events & Poll.POLLERR) == 0)
                {
                    InvariantBroken.Require((events & Poll.POLLIN) != 0 && readers.Count < MostAnswers, "a netlink socket's queue does not overflow");
                    var reader = new Thread(() => Kernel.CallRetrying(Syscall.recvfrom, socket, page.Address, HeldPage.Size, MSG_DONTWAIT)) { IsBackground = true };
                    readers.Add(reader);
                    reader.Start();
                    page.AwaitVisitor(MostWait);
                }
            }
            finally
            {
                page.Open();
                foreach (Thread reader in readers) reader.Join();
            }
        }
        InvariantBroken.Require((Poll.Events(socket) & (Poll.POLLIN | Poll.POLLERR)) == Poll.POLLERR, "the news of an overflow did not stay in a netlink socket");
    }

    // A message that the kernel does nothing with but acknowledge, of whatever subsystem (net/netlink/af_netlink.c, netlink_rcv_skb). struct nlmsghdr: length, type, flags, sequence, port.
    private static int Asked(int socket)
    {
        byte[] message = new byte[HeaderLength], kernel = new byte[AddressLength];
        BinaryPrimitives.WriteInt32LittleEndian(message, message.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), NLMSG_NOOP);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), NLM_F_REQUEST | NLM_F_ACK);
        kernel[0] = AF_NETLINK;
        Linux.Sockets.Send(socket, message, kernel).OrThrow("send to the kernel");
        return Poll.Events(socket);
    }
}
