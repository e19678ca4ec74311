using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.UnixSocket;

/// <summary>A message that waits, or a piece of a stream that the reader gets from one sender at once.</summary>
/// <param name="Descriptors">Duplicates of ours of what comes with it, held by the look's context.</param>
/// <param name="Credentials">As this process sees them; null when the message has none.</param>
internal sealed record WaitingMessage(int Length, byte[] Sender, Sighting[] Descriptors, SocketCredentials? Credentials);

internal sealed record WaitingQueue(byte[] Content, WaitingMessage[] Messages)
{
    public static readonly WaitingQueue Empty = new([], []);
}

/// <summary>What waits in a UNIX socket to be read, looked at without taking it.</summary>
internal static class UnixQueueLook
{
    /// <summary>The whole queue of a socket of a frozen tree. Looked at once; what comes with the messages is held by the context.</summary>
    public static WaitingQueue Frozen(Sighting sighting, UnixSocketState state, ExamineContext context)
    {
        string key = $"queue of UNIX socket {state.Inode}";
        if (!context.Cache.TryGetValue(key, out object? known)) context.Cache[key] = known = LookAtAll(sighting, state, context);
        return (WaitingQueue)known;
    }

    private static WaitingQueue LookAtAll(Sighting sighting, UnixSocketState state, ExamineContext context)
    {
        bool stream = state.Type == SOCK_STREAM;
        if (state.State == TCP_LISTEN || stream && state.ReceiveQueue == 0) return WaitingQueue.Empty;
        using DescriptorHandle own = sighting.Take();
        if (!stream && (Poll.Events(own.Number) & Poll.POLLIN) == 0) return WaitingQueue.Empty;
        if (!NeedsGuard(own.Number, sighting, state)) return PeekStream(own.Number, sighting, state);
        PeekGuard guard = PeekGuard.Of(sighting, context);
        return guard.Look(state.Inode, socket => stream ? WalkStream(socket, sighting, state, context) : WalkMessages(socket, sighting, context));
    }

    // A stream shows all of its bytes at once, unless something else comes with them.
    private static bool NeedsGuard(int socket, Sighting sighting, UnixSocketState state) =>
        state.Type != SOCK_STREAM || HasDescriptors(sighting) || Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_PASSCRED).Raw > 0
        || Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_PASSPIDFD).Raw > 0 || (int)Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_PEEK_OFF).OrThrow("getsockopt(SO_PEEK_OFF)") >= 0;

    public static bool HasDescriptors(Sighting sighting) => sighting.Information.Decimal("scm_fds") > 0;

    private static WaitingQueue PeekStream(int socket, Sighting sighting, UnixSocketState state)
    {
        byte[] content = new byte[state.ReceiveQueue];
        long seen = Linux.Sockets.Peek(socket, content).Result.OrThrow("recvmsg(MSG_PEEK)", $"{sighting.What} of process {sighting.Bearer.Pid}");
        RefuseGap(seen, content.Length, sighting);
        return new WaitingQueue(content, [new WaitingMessage(content.Length, [], [], null)]);
    }

    private static void RefuseGap(long seen, long waiting, Sighting sighting)
    {
        if (seen != waiting) throw new CaptureRefused(sighting, "urgent (out-of-band) data waits between the bytes to be read", "checkpoint when the program has read it");
    }

    // A look at a stream ends behind the piece that descriptors came with, and where another sender's bytes begin. Descriptors
    // belong to the first byte of what was sent with them, so that place is looked for.
    private static WaitingQueue WalkStream(int socket, Sighting sighting, UnixSocketState state, ExamineContext context)
    {
        byte[] content = new byte[state.ReceiveQueue];
        List<WaitingMessage> pieces = [];
        int at = 0;
        while (at < content.Length)
        {
            SocketMessage message = PeekAt(socket, at, content.AsSpan(at));
            int length = (int)(message.Result.Errno == Errno.EAGAIN ? 0 : message.Result.OrThrow("recvmsg(MSG_PEEK)", $"{sighting.What} of process {sighting.Bearer.Pid}"));
            if (length == 0) break;
            SocketCredentials? credentials = Real(message.Credentials);
            int plain = message.Descriptors.Length == 0 ? length : FirstWithDescriptors(socket, at, content.AsSpan(at, length));
            if (plain > 0) pieces.Add(new WaitingMessage(plain, [], [], credentials));
            if (plain < length) pieces.Add(new WaitingMessage(length - plain, [], Held(message, sighting, context), credentials));
            at += length;
        }
        RefuseGap(at, content.Length, sighting);
        return new WaitingQueue(content, [.. pieces]);
    }

    /// <summary>How many bytes from here come before those that were sent with descriptors, which are the last of this piece.</summary>
    private static int FirstWithDescriptors(int socket, int at, Span<byte> piece)
    {
        SetOffset(socket, at);
        return (int)SocketMessages.PeekWhole(socket, piece[..^1]).OrThrow("recvmsg(MSG_PEEK)");
    }

    private static void SetOffset(int socket, int offset) => Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_PEEK_OFF, offset).OrThrow("setsockopt(SO_PEEK_OFF)");

    private static SocketMessage PeekAt(int socket, int offset, Span<byte> buffer)
    {
        SetOffset(socket, offset);
        return SocketMessages.Peek(socket, buffer);
    }

    // Who sent without being asked has pid 0 and nobody's user id (include/net/scm.h, scm_set_cred).
    private static SocketCredentials? Real(SocketCredentials? credentials) => credentials is { Pid: not 0 } ? credentials : null;

    private static Sighting[] Held(SocketMessage message, Sighting carrier, ExamineContext context)
    {
        if ((message.Flags & MSG_CTRUNC) != 0) throw new KernelRefusal("recvmsg(MSG_PEEK) of the descriptors that wait (is the limit of open files too low?)", Errno.EMFILE, $"process {carrier.Bearer.Pid}");
        List<Sighting> sightings = [];
        foreach (DescriptorHandle descriptor in message.Descriptors)
        {
            context.Hold(descriptor);
            sightings.Add(Sighting.Inside(carrier, descriptor) ?? throw new KernelRefusal("look at a descriptor that waits", Errno.EBADF, $"process {carrier.Bearer.Pid}"));
        }
        return [.. sightings];
    }

    // An empty message is passed over when it has been looked at before. So the first one is looked at without the offset, which
    // finds it in any case, and marks it: the walk then begins behind it.
    private static WaitingQueue WalkMessages(int socket, Sighting sighting, ExamineContext context)
    {
        const int CommonLength = 256 * 1024;
        List<(int, WaitingMessage)> hidden = HiddenMessages.Of(socket, "unix_sock", ["sk.sk_receive_queue"], sighting, context, message => Empty(message, sighting));
        List<WaitingMessage> messages = [];
        using var content = new MemoryStream();
        byte[] buffer = new byte[CommonLength];
        SocketMessage first = PeekAt(socket, -1, []);
        if (first.Result.Raw == 0 && !IsEnd(first)) messages.Add(Message(first, sighting, context));
        else foreach (DescriptorHandle descriptor in first.Descriptors) descriptor.Dispose();
        while (true)
        {
            SocketMessage message = PeekAt(socket, (int)content.Length, buffer);
            if (message.Result.Errno == Errno.EAGAIN) break;
            int length = checked((int)message.Result.OrThrow("recvmsg(MSG_PEEK)"));
            if (IsEnd(message)) break;
            if (length > buffer.Length)
            {
                foreach (DescriptorHandle descriptor in message.Descriptors) descriptor.Dispose();
                buffer = new byte[length];
                continue;
            }
            content.Write(buffer, 0, length);
            messages.Add(Message(message, sighting, context));
        }
        HiddenMessages.Join(messages, hidden);
        return new WaitingQueue(content.ToArray(), [.. messages]);
    }

    // A sequenced-packet socket that is shut down for receiving says end of file as an empty message, without end. A real one comes
    // with credentials, which the guard has asked for, if only nobody's.
    private static bool IsEnd(SocketMessage message) => message.Result.Raw == 0 && message.Credentials is null;

    // What a look would tell of it, but for its descriptors, lies beside it (net/unix/af_unix.c, unix_scm_to_skb, unix_copy_addr). Who may load bpf
    // programs is in the first user namespace, where user ids are the kernel's.
    private static WaitingMessage Empty(KernelObject message, Sighting sighting)
    {
        var told = new KernelObject("unix_skb_parms", message.At("cb"));
        if (told["fp"] != 0 || message.Pointed("sk", "unix_sock") is not { } sender)
            throw new CaptureRefused(sighting, "an empty message with descriptors, or of an unknown sender, waits behind others and has been looked at before (MSG_PEEK, an earlier checkpoint), so that it can't be looked at again", "checkpoint when the program has read it");
        byte[] address = sender.Pointed("addr", "unix_address") is { } named ? named.Read("name", (int)Math.Min(named["len"], UnixNames.MaxLength + 2)) : [];
        SocketCredentials? credentials = told.Pointed("pid", "pid") is { } pid ? new SocketCredentials(KernelSight.NumberOf(pid), (uint)told["uid"], (uint)told["gid"]) : null;
        return new WaitingMessage(0, UnixNames.FromAddress(address), [], Real(credentials));
    }

    private static WaitingMessage Message(SocketMessage message, Sighting sighting, ExamineContext context) =>
        new((int)message.Result.Value, UnixNames.FromAddress(message.Sender), Held(message, sighting, context), Real(message.Credentials));

    /// <summary>What can be seen of a queue without a change to the socket: the descriptors that come first. For a tree that runs.</summary>
    public static Sighting[] First(Sighting sighting, UnixSocketState state, ExamineContext context)
    {
        context.Complete = false; // there may be more behind the first
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return [];
        using var own = new DescriptorHandle(taken.Descriptor);
        SysResult offset = Linux.Sockets.GetOption(own.Number, SOL_SOCKET, SO_PEEK_OFF);
        if (offset.Failed || (int)offset.Value >= 0) return []; // a look would move it
        SocketMessage message = SocketMessages.Peek(own.Number, new byte[Math.Clamp((int)state.ReceiveQueue, 1, 1 << 20)]);
        if (message.Result.Failed) return [];
        foreach (DescriptorHandle descriptor in message.Descriptors) context.Hold(descriptor);
        return [.. message.Descriptors.Select(descriptor => Sighting.Inside(sighting, descriptor)).OfType<Sighting>()];
    }
}
