using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Descriptors.OuterStream;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.UnixSocket;

/// <summary>UNIX sockets whose peers are in the tree, or closed, or datagram sockets with a name. The rebuild is in <see cref="UnixRebuild"/>.</summary>
public sealed class UnixSocketKind : DescriptorKind
{
    private const int MaxDescriptors = 253, MaxId = 1 << 22; // include/net/scm.h, SCM_MAX_FD; man 5 proc_sys_kernel, pid_max

    public override string Name => "UNIX socket";
    public override Type RecordType => typeof(UnixSocketRecord);
    public override bool Recognizes(Sighting sighting) => SocketSight.Of(sighting).Family == AF_UNIX;

    /// <summary>Where a socket stands among the others.</summary>
    private readonly record struct Standing(UnixSocketState State, UnixSocketRole Role, UnixSocketState? Peer);

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        UnixSocketState? state = Lookup(sighting, context);
        if (state is null)
        {
            if (!SocketSight.SharesOurNetwork(sighting, context))
                context.Refuse(sighting, "it belongs to another network namespace than stasis runs in", "run stasis in the program's network namespace (nsenter --net)");
            else if (SocketSight.IsStillThere(sighting))
                context.Refuse(sighting, "the kernel does not list this UNIX socket", "use a kernel with CONFIG_UNIX_DIAG, and load the module unix_diag");
            return;
        }
        ExamineQueue(sighting, state, context);
        if (state.State == TCP_LISTEN) ExamineListener(sighting, state, context);
        else ExaminePeer(sighting, state, context);
        if (UnixNames.IsPath(state.Name) && !UnixNames.IsText(UnixNames.Trim(state.Name)))
            context.Refuse(sighting, "the path that it is bound to is not UTF-8", "let the program bind it to another path");
        using DescriptorHandle? own = TryTake(sighting);
        if (own is not null) SocketOptions.Examine(own.Number, sighting, context);
    }

    private static void ExamineQueue(Sighting sighting, UnixSocketState state, ExamineContext context)
    {
        if (state.State == TCP_LISTEN || state.Type == SOCK_STREAM && state.ReceiveQueue == 0) return; // of datagrams it tells the length of the first, which may be empty
        using DescriptorHandle? own = TryTake(sighting);
        if (own is null) return;
        if (!context.Frozen) return;
        foreach (SocketCredentials sender in UnixQueueLook.Frozen(sighting, state, context).Messages.Select(message => message.Credentials).OfType<SocketCredentials>().Distinct())
            if (!IsLiving(sender.Pid, context) && (Linux.Sockets.GetOption(own.Number, SOL_SOCKET, SO_PASSCRED).Raw > 0 || Linux.Sockets.GetOption(own.Number, SOL_SOCKET, SO_PASSPIDFD).Raw > 0))
                context.Refuse(sighting, $"data waits to be read with the credentials (SO_PASSCRED) of process {sender.Pid}, which has ended or is outside of what is checkpointed", "checkpoint when the program has read it");
    }

    private static bool IsLiving(int pid, ExamineContext context) => context.Tree.Contains(pid) && ProcStat.Read(pid) is { State: not ('Z' or 'X') };

    public override IEnumerable<Sighting> Inside(Sighting sighting, ExamineContext context)
    {
        if (!UnixQueueLook.HasDescriptors(sighting) || Lookup(sighting, context) is not { } state || state.State == TCP_LISTEN) return [];
        string key = $"inside of UNIX socket {state.Inode}";
        if (!context.Cache.TryAdd(key, state)) return [];
        return context.Frozen ? UnixQueueLook.Frozen(sighting, state, context).Messages.SelectMany(message => message.Descriptors) : UnixQueueLook.First(sighting, state, context);
    }

    private static void ExamineListener(Sighting sighting, UnixSocketState state, ExamineContext context)
    {
        string where = UnixNames.Words(UnixNames.Trim(state.Name));
        if (state.WaitingClients.Count > 0 && context.Cache.TryAdd($"clients of UNIX listener {state.Inode}", state)) context.Passed.Add(() => SockDiagUnix.All().GetValueOrDefault(state.Inode) is not { WaitingClients.Count: > 0 });
        foreach (uint client in state.WaitingClients)
        {
            if (client != 0 && InTree(client, context) is not null)
            {
                if (Sockets(context).GetValueOrDefault(client) is not { SendQueue: > 0 } || UnixSent.CanBeHad(sighting, state, InTree(client, context)!, context)) continue;
                context.StopLast.Add(sighting.Bearer.Pid);
                context.RefuseForNow(sighting, $"a client waits to be accepted at {where} and has sent already, which can't be looked at before ({UnixSent.WhyNot}): socket {client} of {SocketHolders.Describe(client, new HashSet<int>())}",
                    "checkpoint when the program has accepted it");
            }
            else if (context.OutsideSockets == OutsideSocketPolicy.Close) context.Lose(sighting, $"a client outside of what was checkpointed waited to be accepted at {where}: it is not there any more");
            else if (client == 0)
                context.RefuseForNow(sighting, $"a client that has closed its end already waits to be accepted at {where}, and what it sent can't be looked at", "checkpoint when the program has accepted it");
            else if (context.Complete)
                context.RefuseForNow(sighting, $"a client outside of what is checkpointed waits to be accepted at {where}: socket {client} of {SocketHolders.Describe(client, context.Tree)}", $"checkpoint when the program has accepted it and it has ended, or {CloseAdvice}");
        }
    }

    private const string CloseAdvice = "let the restarted program find it closed: --outside-sockets close";

    private static void ExaminePeer(Sighting sighting, UnixSocketState state, ExamineContext context)
    {
        if (state.Peer is not { } peer) return;
        if (peer == 0)
        {
            if (ListenerOf(state, context) is { } listener && InTree(listener.Inode, context) is null)
                ExamineOutside(sighting, state, listener, $"its connection to {UnixNames.Words(UnixNames.Trim(listener.Name))} waits to be accepted by {SocketHolders.Describe(listener.Inode, context.Tree)}", context);
            return;
        }
        Sockets(context).TryGetValue(peer, out UnixSocketState? other);
        if (InTree(peer, context) is not null)
        {
            if (state.Type == SOCK_DGRAM && other?.Peer is { } third && third != state.Inode)
                context.Refuse(sighting, "it is connected to a datagram socket that is itself connected to a third one", "checkpoint when the program has closed one of them");
        }
        else if (SocketSight.IsStillThere(sighting) && !IsSenderByName(state, other))
            ExamineOutside(sighting, state, other, $"its other end{(other is { Name.Length: > 0 } ? $" ({UnixNames.Words(UnixNames.Trim(other.Name))})" : "")} is held by {SocketHolders.Describe(peer, context.Tree)}, outside of what is checkpointed", context);
    }

    // A connection of the C library's own is closed without a word: it connects again.
    private static void ExamineOutside(Sighting sighting, UnixSocketState state, UnixSocketState? other, string why, ExamineContext context)
    {
        if (!context.Complete || other is not null && UnixNames.LibraryConnectsAgain(UnixNames.Trim(other.Name))) return;
        if (IsStandardStream(sighting, context))
        {
            if (state.ReceiveQueue > 0) context.Refuse(sighting, $"{state.ReceiveQueue} bytes wait in this standard stream, and {why}", "try again when they are read");
            return;
        }
        if (context.OutsideSockets == OutsideSocketPolicy.Close) context.Lose(sighting, $"{why}: the program finds it closed");
        else context.Refuse(sighting, why, $"checkpoint a process that has both ends among its descendants, or {CloseAdvice}");
    }

    /// <summary>A datagram socket that sends to a socket outside, which has an absolute or abstract name: it connects again by that name.</summary>
    private static bool IsSenderByName(UnixSocketState state, UnixSocketState? other) =>
        state.Type == SOCK_DGRAM && other is not null && other.Peer != state.Inode && other.Name.Length > 0 && other.Name[0] is 0 or (byte)'/';

    // A stream that the program was started with: a restart gives it its own, as it does for pipes and terminals.
    private static bool IsStandardStream(Sighting sighting, ExamineContext context) =>
        SocketSight.Of(sighting).Type == SOCK_STREAM && context.All.Any(other => other.Number <= 2 && other.Link == sighting.Link && other.Carrier is null);

    private static UnixSocketState? ListenerOf(UnixSocketState client, ExamineContext context) => Sockets(context).Values.FirstOrDefault(other => other.WaitingClients.Contains(client.Inode));

    private static DescriptorHandle? TryTake(Sighting sighting)
    {
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        return taken.Failed ? null : new DescriptorHandle(taken.Descriptor);
    }

    /// <summary>All UNIX sockets, asked once; asked again when a socket is missing, for the tree may run.</summary>
    private static Dictionary<uint, UnixSocketState> Sockets(ExamineContext context)
    {
        const string Key = "UNIX sockets";
        if (!context.Cache.TryGetValue(Key, out object? known)) context.Cache[Key] = known = SockDiagUnix.All();
        return (Dictionary<uint, UnixSocketState>)known;
    }

    private static UnixSocketState? Lookup(Sighting sighting, ExamineContext context)
    {
        uint inode = SocketSight.Inode(sighting);
        if (Sockets(context).TryGetValue(inode, out UnixSocketState? state)) return state;
        context.Cache["UNIX sockets"] = SockDiagUnix.All();
        return Sockets(context).GetValueOrDefault(inode);
    }

    private static Sighting? InTree(uint inode, ExamineContext context)
    {
        const string Key = "sockets of the tree";
        if (!context.Cache.TryGetValue(Key, out object? known))
        {
            Dictionary<uint, Sighting> byInode = [];
            foreach (Sighting sighting in context.All) if (SocketSight.IsSocket(sighting) && DescriptorKinds.Alone(sighting, context) is UnixSocketKind) byInode.TryAdd(SocketSight.Inode(sighting), sighting);
            context.Cache[Key] = known = byInode;
        }
        return ((Dictionary<uint, Sighting>)known).GetValueOrDefault(inode);
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        ExamineContext examined = context.Examined;
        UnixSocketState state = Lookup(sighting, examined) ?? throw new InvariantBroken($"{sighting.What} of process {sighting.Pid} is not listed, which the examination should have refused");
        using DescriptorHandle own = sighting.Take();
        if (IsOuter(state, examined) && IsStandardStream(sighting, examined)) return OuterStreamKind.Record(id, sighting, false, examined);
        UnixSocketRole role = RoleOf(state, examined);
        uint peerInode = role == UnixSocketRole.Waiting ? ListenerOf(state, examined)!.Inode : state.Peer ?? 0;
        Sighting? peer = peerInode != 0 ? InTree(peerInode, examined) : null;
        (bool ownsFile, string? directory, FileStatus file) = OwnFile(sighting, state);
        WaitingQueue waiting = UnixQueueLook.Frozen(sighting, state, examined);
        (SysResult hasPeer, byte[] peerAddress) = Linux.Sockets.PeerName(own.Number);
        return new UnixSocketRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Type = state.Type,
            Role = role,
            Name = UnixNames.Trim(state.Name),
            Directory = directory,
            OwnsFile = ownsFile,
            FilePermissions = file.Permissions,
            FileUid = file.Uid,
            FileGid = file.Gid,
            Backlog = state.State == TCP_LISTEN ? checked((int)Math.Min(state.SendQueue, int.MaxValue)) : 0,
            Clients = role == UnixSocketRole.Listening ? [.. state.WaitingClients.Select(client => InTree(client, examined)).OfType<Sighting>().Select(client => context.DescriptionOf(client.Pid, client.Number))] : [],
            PeerCredentials = PeerCredentials(own.Number, context),
            Connector = role == UnixSocketRole.Waiting ? HolderCredentials(sighting, context) : null,
            Sent = role == UnixSocketRole.Waiting && UnixSent.Of(state.Inode, examined) is { Length: > 0 } sent ? context.StoreBytes($"unix-{id}-sent", sent.SelectMany(piece => piece).ToArray()) : null,
            SentLengths = role == UnixSocketRole.Waiting ? [.. UnixSent.Of(state.Inode, examined).Select(piece => piece.Length)] : [],
            Peer = peer is null ? 0 : context.DescriptionOf(peer.Pid, peer.Number),
            PeerName = hasPeer.Failed || peer is not null ? [] : UnixNames.FromAddress(peerAddress),
            Shutdown = state.Shutdown,
            Content = waiting.Messages.Length > 0 ? context.StoreBytes($"unix-{id}", waiting.Content) : null,
            Messages = [.. waiting.Messages.Select(message => Record(message, context))],
            Options = SocketOptions.Capture(own.Number, AF_UNIX, state.Type, 0),
        };
    }

    private static UnixCredentials? PeerCredentials(int socket, DescriptorCaptureContext context)
    {
        Span<byte> bytes = stackalloc byte[SocketCredentials.Size];
        if (Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_PEERCRED, bytes).Failed) return null;
        SocketCredentials peer = SocketCredentials.Read(bytes);
        return peer.Pid == 0 ? null : new UnixCredentials(context.InsideId(peer.Pid), peer.Uid, peer.Gid);
    }

    private static UnixCredentials? HolderCredentials(Sighting sighting, DescriptorCaptureContext context)
    {
        int pid = sighting.Bearer.Pid;
        // Real, effective, saved and file system ids (man 5 proc_pid_status).
        return ProcStatus.Read($"/proc/{pid}") is { } status ? new UnixCredentials(context.InsideId(pid), status.Numbers("Uid")[1], status.Numbers("Gid")[1]) : null;
    }

    private static UnixMessage Record(WaitingMessage message, DescriptorCaptureContext context) => new()
    {
        Length = message.Length,
        Sender = message.Sender,
        Descriptors = [.. message.Descriptors.Select(own => context.DescriptionOf(own.Pid, own.Number))],
        Credentials = message.Credentials is { } sender && IsLiving(sender.Pid, context.Examined) ? new UnixCredentials(context.InsideId(sender.Pid), sender.Uid, sender.Gid) : null,
    };

    private static UnixSocketRole RoleOf(UnixSocketState state, ExamineContext context)
    {
        if (state.State == TCP_LISTEN) return UnixSocketRole.Listening;
        if (state.Peer is not { } peer) return UnixSocketRole.Alone;
        if (peer == 0) return ListenerOf(state, context) is { } listener && InTree(listener.Inode, context) is not null ? UnixSocketRole.Waiting : UnixSocketRole.Orphan;
        UnixSocketState? other = Sockets(context).GetValueOrDefault(peer);
        if (InTree(peer, context) is null) return IsSenderByName(state, other) ? UnixSocketRole.Sender : UnixSocketRole.Orphan;
        return other?.Peer == state.Inode ? UnixSocketRole.Pair : UnixSocketRole.Sender;
    }

    private static bool IsOuter(UnixSocketState state, ExamineContext context) =>
        state.Peer is { } peer && (peer == 0 ? ListenerOf(state, context)?.Inode : peer) is { } other && InTree(other, context) is null;

    /// <summary>Whether the file under the socket's name is its own, from which directory a relative name leads there, and the file.</summary>
    private static (bool Owns, string? Directory, FileStatus File) OwnFile(Sighting sighting, UnixSocketState state)
    {
        byte[] name = UnixNames.Trim(state.Name);
        if (!UnixNames.IsPath(name)) return (false, null, default);
        string path = UnixNames.Path(name);
        int holder = sighting.Bearer.Pid;
        string? directory = path[0] == '/' ? null : DirectoryOf(sighting, path) ?? Files.ReadLink($"/proc/{holder}/cwd").Target;
        string seen = $"/proc/{holder}/root{directory}{(directory is null ? "" : "/")}{path}";
        (SysResult found, FileStatus file) = Files.Status(seen, followLinks: false);
        bool owns = !found.Failed && file.Type == FileType.Socket && unchecked((uint)file.Inode) == state.FileInode && (file.DeviceMajor << 20 | file.DeviceMinor) == state.FileDevice
            && !IsAccepted(state);
        return (owns, owns ? directory : null, owns ? file : default);
    }

    /// <summary>From where a relative name led to the socket's file, which may have been another working directory than now; null when it can't be told.</summary>
    private static string? DirectoryOf(Sighting sighting, string path)
    {
        const ulong SIOCUNIXFILE = 0x89E0; // include/uapi/linux/un.h; takes CAP_NET_ADMIN
        using DescriptorHandle? own = TryTake(sighting);
        if (own is null || Kernel.Call(Syscall.ioctl, own.Number, (nint)SIOCUNIXFILE) is not { Failed: false } opened) return null;
        using var file = new DescriptorHandle(opened.Descriptor);
        string full = Files.ReadLink($"/proc/self/fd/{file.Number}").Target;
        return full.EndsWith($"/{path}", StringComparison.Ordinal) ? full[..^(path.Length + 1)] : null;
    }

    // A socket that came by accept has the name and file of its listener (net/unix/af_unix.c, unix_stream_connect); one that is
    // connected needs no file, so whoever bound it, the file is the listener's affair.
    private static bool IsAccepted(UnixSocketState state) => state.Type != SOCK_DGRAM && state.Peer is not null;

    public override void Plan(Description description, PlanContext context)
    {
        var record = (UnixSocketRecord)description;
        if (Damage(record, context) is { } damage)
        {
            context.Refuse(description, "UNIX socket", damage, "the image is damaged; take another checkpoint");
            return;
        }
        if (record.OwnsFile) PlanFile(record, context);
        else if (record.Name.Length > 0 && !UnixNames.IsPath(record.Name) && record.Role is UnixSocketRole.Alone or UnixSocketRole.Listening or UnixSocketRole.Sender) PlanAbstract(record, context);
        if (record.Role == UnixSocketRole.Sender && record.Peer == 0 && !UnixNames.LibraryConnectsAgain(record.PeerName) && !UnixNames.IsAlive(record.PeerName, null, SOCK_STREAM))
            context.Refuse(record, "UNIX socket", $"it sends to {UnixNames.Words(record.PeerName)}, where nobody listens", "start the service that it belongs to first");
    }

    private static string? Damage(UnixSocketRecord record, PlanContext context)
    {
        if (record.Type is not (SOCK_STREAM or SOCK_DGRAM or SOCK_SEQPACKET)) return $"{record.Type} is no type of UNIX sockets";
        if (!Enum.IsDefined(record.Role)) return "its role is unknown";
        if (record.Name.Length > UnixNames.MaxLength || record.PeerName.Length > UnixNames.MaxLength || record.Messages.Any(message => message.Sender.Length > UnixNames.MaxLength)) return "a name is too long";
        if (((byte[][])[record.Name, record.PeerName]).Any(name => UnixNames.IsPath(name) && (name.Contains((byte)0) || !UnixNames.IsText(name)))) return "a name is no path";
        if (record.OwnsFile && !UnixNames.IsPath(record.Name)) return "it has a file but no path";
        if (record.Shutdown is < 0 or > 3 || record.Backlog < 0) return "a value is out of range";
        if (record.Role == UnixSocketRole.Sender && record.Type != SOCK_DGRAM) return "only datagram sockets send without a connection";
        if (record.Role == UnixSocketRole.Sender && record.Peer == 0 && record.PeerName.Length == 0) return "the name it sends to is missing";
        if (record.Messages.Length > UnixQueue.MaxMessages || record.Messages.Any(message => message.Length < 0) || record.Messages.Sum(message => (long)message.Length) > UnixQueue.MaxContent) return "its queue is too large";
        if (record.Messages.Any(message => message.Descriptors.Length > MaxDescriptors || message.Descriptors.Any(id => !context.Descriptions.ContainsKey(id)))) return "a descriptor in its queue is not in the image";
        if (record.Messages.Any(message => message.Credentials is { } sender && !context.IsProcess(sender.Pid))) return "a sender in its queue is not in the image";
        if (record.Messages.Length > 0 && (record.Content is null || !context.HasStored(record.Content))) return "the content of its queue is missing";
        if (record.SentLengths.Length > 0 && (record.Role != UnixSocketRole.Waiting || record.SentLengths.Length > UnixQueue.MaxMessages || record.SentLengths.Any(length => length < 0)
            || record.SentLengths.Sum(length => (long)length) > UnixQueue.MaxContent || record.Sent is null || !context.HasStored(record.Sent))) return "what it has sent is missing";
        if (((UnixCredentials?[])[record.PeerCredentials, record.Connector]).Any(who => who is { Pid: < 0 or > MaxId } or { Uid: uint.MaxValue } or { Gid: uint.MaxValue })) return "the credentials of its peer are out of range";
        if (record.Clients.Any(id => record.Role != UnixSocketRole.Listening || context.Descriptions.GetValueOrDefault(id) is not UnixSocketRecord { Role: UnixSocketRole.Waiting } client || client.Peer != record.Id)) return "a client does not wait for it";
        if (record.Peer != 0 || record.Role is UnixSocketRole.Pair or UnixSocketRole.Waiting)
        {
            if (context.Descriptions.GetValueOrDefault(record.Peer) is not UnixSocketRecord peer || peer.Type != record.Type || peer == record) return "its peer is missing";
            if (record.Role == UnixSocketRole.Pair && (peer.Role != UnixSocketRole.Pair || peer.Peer != record.Id)) return "its peer has another peer";
            if (record.Role == UnixSocketRole.Waiting && (peer.Role != UnixSocketRole.Listening || peer.Clients.Count(id => id == record.Id) != 1)) return "it does not wait at its listener";
            if (record.Role == UnixSocketRole.Sender && peer.Role != UnixSocketRole.Alone) return "the socket it sends to is connected";
        }
        return SocketOptions.Damage(record.Options);
    }

    private static void PlanFile(UnixSocketRecord record, PlanContext context)
    {
        string path = UnixNames.Path(record.Name);
        string full = record.Directory is null ? path : $"{record.Directory}/{path}";
        (SysResult found, FileStatus file) = Files.Status(full, followLinks: false);
        if (found.Errno == Errno.ENOENT)
        {
            string parent = System.IO.Path.GetDirectoryName(full) ?? "/";
            if (Files.Status(parent).Result.Failed) context.Refuse(record, $"UNIX socket {full}", $"its directory {parent} is missing", $"create it: mkdir -p {parent}");
        }
        else if (found.Failed) context.Refuse(record, $"UNIX socket {full}", $"its path can't be looked at ({found.Errno})", "run stasis as root, or make the directory accessible");
        else if (file.Type != FileType.Socket) context.Refuse(record, $"UNIX socket {full}", "another file has taken its path", "move that file away");
        else if (UnixNames.IsAlive(record.Name, record.Directory, record.Type))
            context.Refuse(record, $"UNIX socket {full}", "another program has its address", "end that program first (the original may still run)");
    }

    // There is no way to ask but to try.
    private static void PlanAbstract(UnixSocketRecord record, PlanContext context)
    {
        using var probe = new DescriptorHandle(Linux.Sockets.Create(AF_UNIX, record.Type).OrThrowDescriptor("socket(AF_UNIX)"));
        if (Linux.Sockets.Bind(probe.Number, UnixNames.ToAddress(record.Name)).Errno == Errno.EADDRINUSE)
            context.Refuse(record, $"UNIX socket {UnixNames.Words(record.Name)}", "another program has its address", "end that program first (the original may still run)");
    }

    public override int Rebuild(Description description, RebuildContext context) => UnixRebuild.Make((UnixSocketRecord)description, context);
}
