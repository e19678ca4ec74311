using System.Security.Cryptography;
using Stasis.Linux;

namespace Stasis.State.Descriptors.InternetSocket;

/// <summary>
/// The TCP listeners of a restart, which listen when the tree goes on and not before: the kernel takes clients in as soon as it may, and a restart that
/// fails then, or is killed, would reset them. Until then their first segment is dropped, and they send it again; the filter goes with us.
/// </summary>
internal sealed class RestartArrivals
{
    private const int F_DUPFD_CLOEXEC = 1030;
    private readonly List<(int Socket, InternetSocketRecord Record, Action<int> Listen)> _listeners = [];
    private NfTables? _filter;

    /// <summary>Takes a bound socket that is to listen. Where the packet filter can't be used, clients that come too early are refused.</summary>
    /// <param name="listen">Told of a descriptor of ours for it; called in the order in which they came.</param>
    public static void Keep(RebuildContext context, int socket, InternetSocketRecord record, Action<int> listen)
    {
        const string Key = "TCP listeners";
        if (!context.Shared.TryGetValue(Key, out object? known))
        {
            var arrivals = new RestartArrivals { _filter = Filter(context) };
            context.Shared[Key] = known = arrivals;
            // Before connections of the same port are let go, which may have no SO_REUSEADDR then: nobody can listen beside them.
            context.BeforeResume.Insert(0, () => arrivals.LetIn(context));
        }
        // The program's descriptor is not ours any more when the last step comes.
        ((RestartArrivals)known)._listeners.Add((Files.Control(socket, F_DUPFD_CLOEXEC).OrThrowDescriptor("fcntl(F_DUPFD_CLOEXEC)"), record, listen));
    }

    private static NfTables? Filter(RebuildContext context)
    {
        List<byte[]> addresses = [.. context.Descriptions.Values.OfType<InternetSocketRecord>().Where(record => record.Listening && record.Address.Length > 0).Select(record => record.Address)];
        return addresses.Count == 0 || NfTables.Available().Failed ? null : NfTables.OwnArrivals($"stasis-arrivals-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}", addresses);
    }

    /// <summary>The last step: they listen, those who waited wait again, and nobody is kept away any more.</summary>
    private void LetIn(RebuildContext context)
    {
        try
        {
            // The plan has looked too, but that was a while ago.
            foreach (InternetSocketRecord record in _listeners.Select(listener => listener.Record).Where(record => record.SharesAddress && record.Clients.Any(client => !client.Closed)))
                if (SockDiagInet.Listening().Exists(other => Arrivals.IsSame(other.Address, record.Address)))
                    throw new KernelRefusal($"another program listens at {InternetAddress.Words(record.Address)} by now, and would get clients of the image", Errno.EADDRINUSE);
            foreach ((int socket, _, Action<int> listen) in _listeners) listen(socket);
            foreach ((int socket, InternetSocketRecord record, _) in _listeners.Where(listener => listener.Record.Clients.Any(client => !client.Closed)))
            {
                List<int> group = record.SharesAddress ? [.. _listeners.Where(other => other.Record.SharesAddress && other.Record.Address.AsSpan().SequenceEqual(record.Address)).Select(other => other.Socket)] : [socket];
                AcceptQueue.PutBack(socket, group, record, context);
            }
            // Those of a group were given more room for that.
            foreach ((int socket, InternetSocketRecord record, Action<int> listen) in _listeners.Where(listener => listener.Record.SharesAddress)) listen(socket);
        }
        finally
        {
            foreach ((int socket, _, _) in _listeners) Files.Close(socket);
            _listeners.Clear();
        }
        _filter?.Dispose();
    }
}
