using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.UnixSocket;

/// <summary>What clients of a listener have sent before they were accepted. Both ends are in the tree, so it stands still; at the restart it is sent again.</summary>
internal static class UnixSent
{
    public static string WhyNot => UnixAcceptQueue.Unavailable() ?? "descriptors or credentials come with it, or it is more than a MiB";

    private static string Key(uint client) => $"sent by UNIX socket {client}";

    /// <summary>What a client has sent, call by call; nothing for one that was not asked about.</summary>
    public static byte[][] Of(uint client, ExamineContext context) => context.Cache.TryGetValue(Key(client), out object? pieces) ? (byte[][])pieces : [];

    /// <summary>Whether it can be had. In a tree that runs a look may go wrong, which says nothing.</summary>
    public static bool CanBeHad(Sighting listener, UnixSocketState state, Sighting client, ExamineContext context)
    {
        if (context.Cache.ContainsKey(Key(SocketSight.Inode(client)))) return true;
        if (UnixAcceptQueue.Unavailable() is not null || TellsCredentials(listener) || TellsCredentials(client)) return false;
        try
        {
            ulong socket = UnixAcceptQueue.SocketOf(client.Pid, client.Number);
            UnixAcceptQueue.Waiting[] waiting = UnixAcceptQueue.Read(listener.Pid, listener.Number);
            if (waiting.Length != state.WaitingClients.Count || Array.Find(waiting, one => one.Client == socket) is not { } found) return !context.Frozen;
            if (context.Frozen && found.Pieces is not null) context.Cache[Key(SocketSight.Inode(client))] = found.Pieces;
            return found.Pieces is not null;
        }
        catch (KernelRefusal)
        {
            return !context.Frozen;
        }
    }

    // Who sends again is another process.
    private static bool TellsCredentials(Sighting socket)
    {
        using DescriptorHandle own = socket.Take();
        return Linux.Sockets.GetOption(own.Number, SOL_SOCKET, SO_PASSCRED).Raw > 0 || Linux.Sockets.GetOption(own.Number, SOL_SOCKET, SO_PASSPIDFD).Raw > 0;
    }

    public static void Send(int socket, UnixSocketRecord client, RebuildContext context)
    {
        if (client.Sent is null) return;
        byte[] content = context.StoredBytes(client.Sent);
        InvariantBroken.Require(content.Length == client.SentLengths.Sum(length => (long)length), "what a client has sent has another length than its pieces");
        int at = 0;
        foreach (int length in client.SentLengths)
        {
            UnixQueue.Put(socket, content.AsSpan(at, length), [], [], null);
            at += length;
        }
    }
}
