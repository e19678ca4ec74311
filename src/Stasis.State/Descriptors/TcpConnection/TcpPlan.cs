using Stasis.Linux;
using Stasis.State.Descriptors.InternetSocket;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>Whether a connection of an image is a possible one, and can go on here.</summary>
internal static class TcpPlan
{
    private const int MaxContent = 1 << 30, MaxBuffer = int.MaxValue;

    // Who has a connection may be just ending, like the helper of a tool that was killed while it ended the tree. For all connections together.
    private static long? s_patience;

    public static void Check(TcpConnectionRecord record, PlanContext context)
    {
        const string What = "TCP connection";
        if (Damage(record, context) is { } damage)
        {
            context.Refuse(record, What, damage, "the image is damaged; take another checkpoint");
            return;
        }
        if (record.Phase == TcpPhase.Ended) return;
        if (record.Moved && !context.Descriptions.Values.Any(other => other is TcpConnectionRecord end && end.Meets(record)))
        {
            context.Refuse(record, What, $"its peer {InternetAddress.Words(record.Peer)} is outside of the image and knows it by its old address", "give that address to a network interface of this host instead of --bind address:, or restart with --tcp close, which ends the connection");
            return;
        }
        if (NfTables.Available() is { Failed: true } missing)
        {
            context.Refuse(record, What, $"it is held still by the packet filter while it is rebuilt, and this kernel's nf_tables can't be used ({missing.Errno})", "load the module nf_tables and run stasis with CAP_NET_ADMIN, or restart with --tcp close, which ends the connection");
            return;
        }
        Reach(record.Address, record.Peer, () => Try(record), (why, advice) => context.Refuse(record, What, why, advice));
    }

    /// <summary>The same for a client that no program has accepted yet.</summary>
    public static void Check(UnacceptedClient client, InternetSocketRecord record, PlanContext context)
    {
        if (client.Moved)
        {
            Refuse($"it is outside of the image and knows us by the old address", "give that address to a network interface of this host instead of --bind address:, or restart with --tcp close, which ends the connection");
            return;
        }
        void Refuse(string why, string advice) => context.Refuse(record, $"TCP listener with the client {InternetAddress.Words(client.Peer)}, which waits to be accepted", why, advice);
        if (TcpAdoption.Unavailable() is { } unavailable) Refuse($"it can't be put back: {unavailable}", "restart with --tcp close, which ends the connection");
        else if (NfTables.Available() is { Failed: true } missing) Refuse($"it is held still by the packet filter, and this kernel's nf_tables can't be used ({missing.Errno})", "load the module nf_tables and run stasis with CAP_NET_ADMIN, or restart with --tcp close, which ends the connection");
        else Reach(client.Address, client.Peer, () => Try(client.Address.Length == InternetAddress.Length(AF_INET) ? AF_INET : AF_INET6, client.Address, client.Peer, _ => { }), Refuse);
    }

    private static void Reach(byte[] addressBytes, byte[] peerBytes, Func<SysResult> attempt, Action<string, string> refuse)
    {
        SysResult tried = attempt();
        while (tried.Errno == Errno.EADDRNOTAVAIL && InternetAddress.IsHere(addressBytes) && Environment.TickCount64 < (s_patience ??= Environment.TickCount64 + 1000))
        {
            Pause.Microseconds(10_000);
            tried = attempt();
        }
        if (!tried.Failed) return;
        string address = InternetAddress.Words(addressBytes), peer = InternetAddress.Words(peerBytes);
        (string why, string advice) = tried.Errno switch
        {
            Errno.EADDRNOTAVAIL when InternetAddress.IsHere(addressBytes) => ($"there is a connection from {address} to {peer} already", "end the program that has it first (the original may still run)"),
            Errno.EADDRNOTAVAIL => ($"this host does not have the address {address}, by which its peer knows it", "give the address to a network interface of this host, or restart with --tcp close, which ends the connection"),
            Errno.ENETUNREACH => ($"this host has no route to {peer}", "connect it to that network, or restart with --tcp close, which ends the connection"),
            Errno.EPERM or Errno.EACCES => ("its state can't be set without the capability CAP_NET_ADMIN", "run stasis as root"),
            _ => ($"the connection from {address} to {peer} can't be made again ({tried.Errno})", "restart with --tcp close, which ends the connection"),
        };
        refuse(why, advice);
    }

    private static string? Damage(TcpConnectionRecord record, PlanContext context)
    {
        if (record.Family is not (AF_INET or AF_INET6)) return $"{record.Family} is no family of internet addresses";
        if (!Enum.IsDefined(record.Phase)) return "its phase is unknown";
        if (!InternetAddress.IsOf(record.Address, record.Family)) return "its address has the wrong form";
        if (record.Phase == TcpPhase.Ended ? record.Peer.Length != 0 : !InternetAddress.IsOf(record.Peer, record.Family)) return "its peer's address has the wrong form";
        if (record.ReceivedLength is < 0 or > MaxContent || record.WrittenLength is < 0 or > MaxContent || record.UnsentLength < 0 || record.UnsentLength > record.WrittenLength) return "the length of a queue is out of range";
        if (record.SendBuffer is < 0 or > MaxBuffer || record.ReceiveBuffer is < 0 or > MaxBuffer || record.BufferLocks is < 0 or > 3) return "the size of a buffer is out of range";
        if (record.Phase is not (TcpPhase.Ended or TcpPhase.SynSent) && (record.Window.Length != TcpRepair.WindowSize / 4 || record.MaximumSegment is <= 0 or > 65535)) return "its window or segment size is out of range";
        if (record.SendScale is < -1 or > 14 || record.ReceiveScale is < -1 or > 14 || (record.SendScale < 0) != (record.ReceiveScale < 0)) return "its window scale is out of range";
        if (record.FinUnsent && record.Phase is not (TcpPhase.FinWait1 or TcpPhase.LastAck or TcpPhase.Closing)) return "its end of data does not fit its phase";
        if (record.Phase is TcpPhase.Ended or TcpPhase.SynSent or TcpPhase.FinWait2 && record.WrittenLength > 0) return "what it has written does not fit its phase";
        if (record.Phase == TcpPhase.SynSent && record.ReceivedLength > 0) return "what it has received does not fit its phase";
        if (record.UrgentAt < -1 || record.UrgentAt >= record.ReceivedLength || record.UrgentAt >= 0 && record.Phase == TcpPhase.Ended) return "the place of its urgent byte is out of range";
        if (record.Hold.Length > 0 && !IsHold(record.Hold)) return "the name of its packet filter table is none of stasis";
        foreach ((string? name, int length) in ((string?, int)[])[(record.Received, record.ReceivedLength), (record.Written, record.WrittenLength)])
            if (name is null ? length > 0 : length == 0 || name.Contains('/') || !context.HasStored(name)) return "the content of a queue is missing";
        return SocketOptions.Damage(record.Options);
    }

    // Only such a table is ever removed on an image's word.
    public static bool IsHold(string name) => name.Length == 23 && name.StartsWith("stasis-", StringComparison.Ordinal) && name.AsSpan(7).IndexOfAnyExcept("0123456789abcdef") < 0;

    private static SysResult Try(TcpConnectionRecord record) => Try(record.Family, record.Address, record.Peer, probe => TcpRestoration.SetEarlyOptions(probe, record));

    // The only way to know is to try. In repair mode neither the connect nor the close sends anything.
    private static SysResult Try(int family, byte[] address, byte[] peer, Action<int> setOptions)
    {
        using var probe = new DescriptorHandle(Linux.Sockets.Create(family, SOCK_STREAM, IPPROTO_TCP).OrThrowDescriptor("socket"));
        SysResult repaired = TcpRepair.Set(probe.Number, TcpRepair.On);
        if (repaired.Failed) return repaired;
        setOptions(probe.Number);
        SysResult bound = Linux.Sockets.Bind(probe.Number, address);
        return bound.Failed ? bound : TcpRestoration.Connect(probe.Number, address, peer);
    }
}
