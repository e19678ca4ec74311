using Stasis.Linux;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.UnixSocket;

/// <summary>Puts back what waited in a UNIX socket to be read, from the other side.</summary>
internal static class UnixQueue
{
    public const int MaxContent = 1 << 30, MaxMessages = 1 << 20;

    /// <summary>Whether the queue can be filled only when all descriptions and all processes are there.</summary>
    public static bool NeedsTree(UnixSocketRecord receiver) => receiver.Messages.Any(message => message.Descriptors.Length > 0 || message.Credentials is not null);

    /// <summary>Puts the messages into a socket's queue: from its connected peer, or from senders of the recorded names to its address.</summary>
    public static void Fill(UnixSocketRecord receiver, RebuildContext context, Func<int, int> pidOf, Func<UnixMessage, int> senderOf, byte[] address)
    {
        if (receiver.Content is null) return;
        byte[] content = context.StoredBytes(receiver.Content);
        InvariantBroken.Require(content.Length == receiver.Messages.Sum(message => (long)message.Length), "the content of a queue has another length than its messages");
        int at = 0;
        foreach (UnixMessage message in receiver.Messages)
        {
            SocketCredentials? credentials = message.Credentials is { } sender ? new SocketCredentials(pidOf(sender.Pid), sender.Uid, sender.Gid) : null;
            Put(senderOf(message), content.AsSpan(at, message.Length), address, [.. message.Descriptors.Select(context.DescriptorOf)], credentials);
            at += message.Length;
        }
    }

    public static void Put(int sender, ReadOnlySpan<byte> message, ReadOnlySpan<byte> address, ReadOnlySpan<int> descriptors, SocketCredentials? credentials)
    {
        // A sender that asks for credentials sends its own too (net/unix/af_unix.c, unix_may_passcred): ours, where there were none.
        bool names = credentials is null && Linux.Sockets.GetOption(sender, SOL_SOCKET, SO_PASSCRED).Raw > 0;
        if (names) Linux.Sockets.SetOption(sender, SOL_SOCKET, SO_PASSCRED, 0).OrThrow("setsockopt(SO_PASSCRED)");
        do
        {
            SysResult sent = SocketMessages.Send(sender, message, address, descriptors, credentials);
            if (sent.Errno is Errno.EAGAIN or Errno.EMSGSIZE or Errno.ENOBUFS) sent = SendWithRoom(sender, message, address, descriptors, credentials);
            int length = (int)sent.OrThrow($"send of {message.Length} bytes to refill a UNIX socket");
            message = message[length..];
            descriptors = [];
        }
        while (message.Length > 0);
        if (names) Linux.Sockets.SetOption(sender, SOL_SOCKET, SO_PASSCRED, 1).OrThrow("setsockopt(SO_PASSCRED)");
    }

    // The queue was filled with a larger buffer than the sender has now: room for as long as the send takes, then as it was.
    private static SysResult SendWithRoom(int sender, ReadOnlySpan<byte> message, ReadOnlySpan<byte> address, ReadOnlySpan<int> descriptors, SocketCredentials? credentials)
    {
        const int Enough = 1 << 29;
        int size = (int)(Linux.Sockets.GetOption(sender, SOL_SOCKET, SO_SNDBUF).OrThrow("getsockopt(SO_SNDBUF)") / 2);
        long locks = Linux.Sockets.GetOption(sender, SOL_SOCKET, SO_BUF_LOCK).OrThrow("getsockopt(SO_BUF_LOCK)");
        Linux.Sockets.SetOption(sender, SOL_SOCKET, SO_SNDBUFFORCE, Enough).OrThrow("setsockopt(SO_SNDBUFFORCE)");
        SysResult sent = SocketMessages.Send(sender, message, address, descriptors, credentials);
        Linux.Sockets.SetOption(sender, SOL_SOCKET, SO_SNDBUFFORCE, size).OrThrow("setsockopt(SO_SNDBUFFORCE)");
        Linux.Sockets.SetOption(sender, SOL_SOCKET, SO_BUF_LOCK, (int)locks).OrThrow("setsockopt(SO_BUF_LOCK)");
        return sent;
    }
}
