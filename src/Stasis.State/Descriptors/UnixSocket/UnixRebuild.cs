using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.UnixSocket;

/// <summary>
/// Makes UNIX sockets. For each: the socket and its name, then what waits in its queue, then its options (a filter or a small
/// buffer among them must not stand in the way of the refill), and last what ends a direction.
/// </summary>
internal static class UnixRebuild
{
    public static int Make(UnixSocketRecord record, RebuildContext context)
    {
        if (context.Shared.Remove(Key(record.Id), out object? made)) return (int)made;
        return record.Role switch
        {
            UnixSocketRole.Pair => MakePair(record, (UnixSocketRecord)context.Descriptions[record.Peer], context),
            UnixSocketRole.Orphan => MakeOrphan(record, context),
            // A syslog that does not run here: sends fail, and syslog(3) connects again when it does.
            UnixSocketRole.Sender when record.Peer == 0 && UnixNames.LibraryConnectsAgain(record.PeerName) && !UnixNames.IsAlive(record.PeerName, null, SOCK_STREAM) => MakeOrphan(record, context),
            UnixSocketRole.Sender => MakeSender(record, context),
            UnixSocketRole.Listening => MakeListener(record, context),
            _ => MakeAlone(record, context),
        };
    }

    private static string PlaceKey(int id) => $"UNIX place {id}";
    private static UnixPlace PlaceOf(UnixSocketRecord record, RebuildContext context) => context.Shared.TryGetValue(PlaceKey(record.Id), out object? aside) ? (UnixPlace)aside : UnixPlace.Of(record, null);
    private static string Key(int id) => $"UNIX socket {id}";

    private static int MakeAlone(UnixSocketRecord record, RebuildContext context)
    {
        int socket = Linux.Sockets.Create(AF_UNIX, record.Type).OrThrowDescriptor("socket(AF_UNIX)");
        // Messages and senders reach it by a file, also when its own has been removed.
        AsideName? aside = null;
        if (record.OwnsFile) Bind(socket, record, context); else aside = UnixNames.KeepAside(socket, record.Name);
        if (aside is not null)
        {
            context.Shared[PlaceKey(record.Id)] = aside.Place;
            context.Undo.Add(aside.Dispose);
            context.AtLast.Add(() => { if (!UnixQueue.NeedsTree(record)) aside.Dispose(); });
        }
        WhenPossible(UnixQueue.NeedsTree(record), context, pidOf =>
        {
            FillByAddress(record, context, pidOf);
            if (UnixQueue.NeedsTree(record)) aside?.Dispose();
            SocketOptions.Set(socket, record.Options);
            if (record.Role != UnixSocketRole.Waiting) ShutDown(socket, record);
        });
        Remember(record, socket, context);
        return socket;
    }

    // Clients that wait connect at last: a connection that had been accepted is made again by the same listener, and must not find
    // others before it.
    private static int MakeListener(UnixSocketRecord record, RebuildContext context)
    {
        int socket = Linux.Sockets.Create(AF_UNIX, record.Type).OrThrowDescriptor("socket(AF_UNIX)");
        AsideName? aside = null;
        if (record.OwnsFile) Bind(socket, record, context); else aside = UnixNames.KeepAside(socket, record.Name);
        SocketOptions.Set(socket, record.Options);
        UnixNoted.Listen(socket, Math.Max(record.Backlog, record.Clients.Length), record.PeerCredentials, context);
        if (record.Clients.Length == 0)
        {
            aside?.Dispose();
            return socket;
        }
        context.Undo.Add(() => aside?.Dispose());
        context.AtLast.Add(() =>
        {
            UnixPlace place = UnixPlace.Of(record, aside);
            foreach (int id in record.Clients)
            {
                var client = (UnixSocketRecord)context.Descriptions[id];
                int connecting = context.DescriptorOf(id);
                UnixNoted.Connect(connecting, place, $"connect of a UNIX socket to {UnixNames.Words(record.Name)}", client.Connector, context);
                UnixSent.Send(connecting, client, context);
                ShutDown(connecting, client);
            }
            aside?.Dispose();
            UnixNoted.Listen(socket, record.Backlog, record.PeerCredentials, context);
        });
        return socket;
    }

    /// <summary>Fills queues and does what must come after: now, or with the tree.</summary>
    private static void WhenPossible(bool needsTree, RebuildContext context, Action<Func<int, int>> settle)
    {
        if (needsTree) context.WithTree.Add(settle);
        else settle(_ => 0);
    }

    private static void Remember(UnixSocketRecord record, int socket, RebuildContext context)
    {
        if (record.Name.Length > 0) context.Shared[$"UNIX name {Convert.ToHexString(record.Name)}"] = socket;
    }

    private static int MakeSender(UnixSocketRecord record, RebuildContext context)
    {
        // The receiver first: it may need this socket's name for a moment, to put back a message that came from here.
        var receiver = record.Peer == 0 ? null : (UnixSocketRecord)context.Descriptions[record.Peer];
        if (receiver is not null) context.DescriptorOf(receiver.Id);
        int socket = Linux.Sockets.Create(AF_UNIX, record.Type).OrThrowDescriptor("socket(AF_UNIX)");
        Bind(socket, record, context);
        bool needsTree = UnixQueue.NeedsTree(record);
        if (!needsTree) FillByAddress(record, context, _ => 0);
        UnixPlace place = receiver is null ? new UnixPlace(null, UnixNames.ToAddress(record.PeerName)) : PlaceOf(receiver, context);
        UnixNames.From(place.Directory, () => Linux.Sockets.Connect(socket, place.Address)).OrThrow($"connect of a UNIX datagram socket to {UnixNames.Words(receiver?.Name ?? record.PeerName)}");
        WhenPossible(needsTree, context, pidOf =>
        {
            if (needsTree) FillByAddress(record, context, pidOf);
            SocketOptions.Set(socket, record.Options);
            ShutDown(socket, record);
        });
        Remember(record, socket, context);
        return socket;
    }

    private static int MakeOrphan(UnixSocketRecord record, RebuildContext context)
    {
        // An abstract name may be a listener's too: only what comes by accept can have it then.
        bool accepted = record.Type != SOCK_DGRAM && IsAbstract(record);
        (int peer, int socket) = accepted ? Connect(new UnixSocketRecord { Id = 0, Type = record.Type, Role = UnixSocketRole.Alone }, record, context)
            : Swap(UnixNoted.Pair(record.Type, record.PeerCredentials, context));
        if (record.OwnsFile) Bind(socket, record, context); else if (!accepted) UnixNames.BindAside(socket, record.Name);
        if (UnixNames.IsPath(record.PeerName)) UnixNames.BindAside(peer, record.PeerName);
        WhenPossible(UnixQueue.NeedsTree(record), context, pidOf =>
        {
            using var closing = new DescriptorHandle(peer);
            UnixQueue.Fill(record, context, pidOf, _ => peer, []);
            SocketOptions.Set(socket, record.Options);
        });
        return socket;
    }

    private static int MakePair(UnixSocketRecord first, UnixSocketRecord second, RebuildContext context)
    {
        // An abstract name that came by accept can only come so again: the end that has one is made by a connect to its listener.
        bool stream = first.Type != SOCK_DGRAM;
        UnixSocketRecord? accepted = !stream ? null : IsAbstract(first) && HasListener(first, context) ? first : IsAbstract(second) ? second : IsAbstract(first) ? first
            : first.PeerCredentials == second.PeerCredentials ? null : WasAccepted(first) ? first : WasAccepted(second) ? second : null;
        (int one, int two) = accepted is null ? UnixNoted.Pair(first.Type, first.PeerCredentials, context) : accepted == first ? Swap(Connect(second, first, context)) : Connect(first, second, context);
        foreach ((int socket, UnixSocketRecord record) in ((int, UnixSocketRecord)[])[(one, first), (two, second)])
        {
            if (record.OwnsFile) Bind(socket, record, context);
            else if (record != accepted && !(accepted is not null && IsAbstract(record))) UnixNames.BindAside(socket, record.Name);
        }
        WhenPossible(UnixQueue.NeedsTree(first) || UnixQueue.NeedsTree(second), context, pidOf =>
        {
            UnixQueue.Fill(first, context, pidOf, _ => two, []);
            UnixQueue.Fill(second, context, pidOf, _ => one, []);
            SocketOptions.Set(one, first.Options);
            SocketOptions.Set(two, second.Options);
            ShutDown(one, first);
            ShutDown(two, second);
        });
        context.Shared[Key(second.Id)] = two;
        return one;
    }

    private static (int, int) Swap((int One, int Two) pair) => (pair.Two, pair.One);
    private static bool IsAbstract(UnixSocketRecord record) => record.Name.Length > 0 && !UnixNames.IsPath(record.Name);

    // Its name is its listener's; and the two ends were told of each other, where a pair is told of its maker.
    private static bool WasAccepted(UnixSocketRecord record) => UnixNames.IsPath(record.Name) && !record.OwnsFile;

    private static UnixSocketRecord? ListenerOf(UnixSocketRecord record, RebuildContext context) =>
        context.Descriptions.Values.OfType<UnixSocketRecord>().FirstOrDefault(other => other.Role == UnixSocketRole.Listening && other.Type == record.Type && other.Name.AsSpan().SequenceEqual(record.Name));
    private static bool HasListener(UnixSocketRecord record, RebuildContext context) => ListenerOf(record, context) is not null;

    /// <summary>The client's and the server's end of a connection to the server's name: for an abstract one by its own listener, else by one for the moment.</summary>
    private static (int Client, int Server) Connect(UnixSocketRecord client, UnixSocketRecord server, RebuildContext context)
    {
        int connecting = Linux.Sockets.Create(AF_UNIX, client.Type).OrThrowDescriptor("socket(AF_UNIX)");
        if (IsAbstract(client)) UnixNames.BindAside(connecting, client.Name);
        int known = IsAbstract(server) && ListenerOf(server, context) is { } listener ? context.DescriptorOf(listener.Id) : -1;
        using DescriptorHandle? momentary = known >= 0 ? null : new DescriptorHandle(Linux.Sockets.Create(AF_UNIX, server.Type).OrThrowDescriptor("socket(AF_UNIX)"));
        using AsideName? aside = momentary is null ? null : UnixNames.KeepAside(momentary.Number, server.Name);
        if (momentary is not null) UnixNoted.Listen(momentary.Number, 1, client.PeerCredentials, context);
        UnixPlace place = aside?.Place ?? new UnixPlace(null, UnixNames.ToAddress(server.Name));
        int noted = UnixNoted.Connect(connecting, place, $"connect of a UNIX socket to {UnixNames.Words(server.Name)}", server.PeerCredentials, context);
        int accepted = Linux.Sockets.Accept(momentary?.Number ?? known).OrThrowDescriptor($"accept at {UnixNames.Words(server.Name)}");
        // Anybody may connect to a listener that is there again.
        Span<byte> credentials = stackalloc byte[SocketCredentials.Size];
        Linux.Sockets.GetOption(accepted, SOL_SOCKET, SO_PEERCRED, credentials).OrThrow("getsockopt(SO_PEERCRED)");
        if (SocketCredentials.Read(credentials).Pid != noted) throw new KernelRefusal($"accept at {UnixNames.Words(server.Name)}, where another program connected in between", Errno.EADDRINUSE);
        return (connecting, accepted);
    }

    /// <summary>Binds to the name outside: to its path with its file, whose stale predecessor goes first, or to the abstract name.</summary>
    private static void Bind(int socket, UnixSocketRecord record, RebuildContext context)
    {
        if (!record.OwnsFile)
        {
            UnixNames.BindAside(socket, record.Name);
            return;
        }
        string path = UnixNames.Path(record.Name);
        string full = record.Directory is null ? path : $"{record.Directory}/{path}";
        (SysResult found, FileStatus file) = Files.Status(full, followLinks: false);
        if (!found.Failed && file.Type == FileType.Socket && !UnixNames.IsAlive(record.Name, record.Directory, record.Type)) Files.Unlink(full).OrThrow($"unlink of the stale socket {full}");
        UnixNames.ByName(record.Name, record.Directory, address => Linux.Sockets.Bind(socket, address)).OrThrow($"bind of a UNIX socket to {full}");
        context.Undo.Add(() => Files.Unlink(full));
        Files.ChangeOwner(full, record.FileUid, record.FileGid).OrThrow($"chown of {full}");
        Files.ChangeMode(full, record.FilePermissions).OrThrow($"chmod of {full}");
    }

    /// <summary>Refills a socket that is not connected, from sockets that have the senders' names.</summary>
    private static void FillByAddress(UnixSocketRecord record, RebuildContext context, Func<int, int> pidOf)
    {
        if (record.Messages.Length == 0) return;
        Dictionary<string, DescriptorHandle> momentary = [];
        try
        {
            UnixPlace place = PlaceOf(record, context);
            UnixNames.From(place.Directory, () =>
            {
                UnixQueue.Fill(record, context, pidOf, message => SenderOf(message.Sender), place.Address);
                return default;
            });
        }
        finally
        {
            foreach (DescriptorHandle handle in momentary.Values) handle.Dispose();
        }

        int SenderOf(byte[] name)
        {
            string key = Convert.ToHexString(name);
            if (name.Length > 0 && context.Shared.TryGetValue($"UNIX name {key}", out object? known)) return (int)known;
            if (momentary.TryGetValue(key, out DescriptorHandle? made)) return made.Number;
            momentary[key] = made = new DescriptorHandle(Linux.Sockets.Create(AF_UNIX, record.Type).OrThrowDescriptor("socket(AF_UNIX)"));
            UnixNames.BindAside(made.Number, name);
            return made.Number;
        }
    }

    private static void ShutDown(int socket, UnixSocketRecord record)
    {
        if (record.Shutdown == 0 || record.Role == UnixSocketRole.Listening) return;
        int how = record.Shutdown switch { 1 => SHUT_RD, 2 => SHUT_WR, _ => SHUT_RDWR };
        SysResult result = Linux.Sockets.Shutdown(socket, how);
        if (result.Failed && result.Errno != Errno.ENOTCONN) result.OrThrow("shutdown of a UNIX socket");
    }
}
