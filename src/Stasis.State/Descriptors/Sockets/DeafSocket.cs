using Stasis.Linux;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.Sockets;

/// <summary>
/// A raw or packet socket hears also what a restart puts back for others (datagrams, errors, a connection's segments). So it hears nothing until the tree goes
/// on, by a filter that lets nothing through.
/// </summary>
internal static class DeafSocket
{
    private const int SO_DETACH_FILTER = 27, F_DUPFD_CLOEXEC = 1030;

    /// <summary>For a socket that has no filter yet; then it gets that of its options, which is tried now: the last steps are too late to fail.</summary>
    public static void UntilResume(int socket, SocketOption[] options, RebuildContext context)
    {
        SocketOption[] own = [.. options.Where(option => option is { Level: SOL_SOCKET, Name: SO_ATTACH_FILTER })];
        SocketOptions.Set(socket, own);
        Attach(socket, s_nothing).OrThrow("setsockopt(SO_ATTACH_FILTER)");
        // The program's descriptor is not ours any more when the last steps come.
        int kept = Files.Control(socket, F_DUPFD_CLOEXEC).OrThrowDescriptor("fcntl(F_DUPFD_CLOEXEC)");
        context.LastBeforeResume.Add(() =>
        {
            using var handle = new DescriptorHandle(kept);
            if (own.Length == 0) Detach(handle.Number);
            foreach (SocketOption option in own) Attach(handle.Number, option.Value).OrThrow("setsockopt(SO_ATTACH_FILTER)");
            SocketOptions.Set(handle.Number, [.. options.Where(option => option is { Level: SOL_SOCKET, Name: SO_LOCK_FILTER })]);
        });
    }

    private static readonly byte[] s_nothing = [0x06, 0, 0, 0, 0, 0, 0, 0]; // BPF_RET, no bytes

    // In the place of the one that it has, without a moment in between; but where there is no room for both (net.core.optmem_max), after it.
    private static SysResult Attach(int socket, byte[] filter)
    {
        SysResult attached = Linux.Sockets.AttachFilter(socket, filter);
        if (attached.Errno != Errno.ENOMEM) return attached;
        Detach(socket);
        return Linux.Sockets.AttachFilter(socket, filter);
    }

    private static void Detach(int socket) => Linux.Sockets.SetOption(socket, SOL_SOCKET, SO_DETACH_FILTER, 0).OrThrow("setsockopt(SO_DETACH_FILTER)");
}
