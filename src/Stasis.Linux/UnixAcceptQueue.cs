namespace Stasis.Linux;

/// <summary>
/// What clients of a UNIX listener have written before they were accepted: it waits in sockets that only accept(2) makes descriptors of, so
/// it is read in the kernel's memory (struct sock, sk_buff, unix_sock; net/unix/af_unix.c). Everything about it must stand still.
/// </summary>
/// <remarks>
/// It is tried on a listener of our own first, whose queue is known: where that does not come out the same, nothing is believed.
/// </remarks>
public static class UnixAcceptQueue
{
    private const int MostClients = 4096, MostMessages = 4096, MostBytes = 1 << 20;
    private static readonly Lazy<string?> s_whyNot = new(WhyNot);

    /// <summary>Why nothing can be seen on this host; null when it can.</summary>
    public static string? Unavailable() => s_whyNot.Value;

    private static string? WhyNot() => KernelSight.Unavailable() ?? (KnowsItsOwn() ? null : "this kernel's sockets are built otherwise");

    // Two clients, the second with two pieces.
    private static bool KnowsItsOwn()
    {
        try
        {
            using DescriptorHandle listener = Make(), first = Make(), second = Make();
            Sockets.Bind(listener.Number, [SocketConstants.AF_UNIX, 0]).OrThrow("bind of a UNIX socket"); // to a name that the kernel chooses (man 7 unix)
            Sockets.Listen(listener.Number, 2).OrThrow("listen");
            byte[] name = Sockets.Name(listener.Number).Address;
            foreach (DescriptorHandle client in (DescriptorHandle[])[first, second]) Sockets.Connect(client.Number, name).OrThrow("connect");
            byte[] one = [.. Enumerable.Range(0, 3000).Select(i => (byte)(i * 7))], two = [1, 2, 3];
            Sockets.Send(second.Number, two).OrThrow("send");
            Sockets.Send(first.Number, one).OrThrow("send");
            Sockets.Send(second.Number, one).OrThrow("send");
            int us = Environment.ProcessId;
            return Read(us, listener.Number) is [{ Pieces: [var a] }, { Pieces: [var b, var c] }] seen && a.AsSpan().SequenceEqual(one) && b.AsSpan().SequenceEqual(two) && c.AsSpan().SequenceEqual(one)
                && seen[0].Client == SocketOf(us, first.Number) && seen[1].Client == SocketOf(us, second.Number);
        }
        catch (KernelRefusal)
        {
            return false;
        }
    }

    private static DescriptorHandle Make() => new(Sockets.Create(SocketConstants.AF_UNIX, SocketConstants.SOCK_STREAM).OrThrowDescriptor("socket(AF_UNIX)"));

    /// <summary>A client that waits.</summary>
    /// <param name="Client">Which socket it is, as <see cref="SocketOf"/> tells.</param>
    /// <param name="Pieces">What it has written, call by call; null when it can't be had (more than a MiB, and what comes with descriptors).</param>
    public sealed record Waiting(ulong Client, byte[][]? Pieces);

    /// <summary>The clients of a listener, by a descriptor of a process, the first in line first. Throws <see cref="KernelRefusal"/>.</summary>
    public static Waiting[] Read(int pid, int listener) => [.. KernelSocket.Queue(new KernelObject("sock", SocketOf(pid, listener)), "sk_receive_queue", MostClients).Select(Client)];

    private static Waiting Client(KernelObject waiting)
    {
        KernelObject server = Pointed(waiting, "sk", "sock");
        List<byte[]> pieces = [];
        long sum = 0;
        foreach (KernelObject piece in KernelSocket.Queue(server, "sk_receive_queue", MostMessages))
        {
            // With descriptors beside it (struct unix_skb_parms lies in the buffer's control block).
            bool plain = new KernelObject("unix_skb_parms", piece.At("cb"))["fp"] == 0;
            if (!plain || (sum += (int)piece["len"]) > MostBytes || KernelSocket.Bytes(piece, piece["data"] - piece["head"]) is not { } bytes) return new Waiting(Peer(server), null);
            pieces.Add(bytes);
        }
        return new Waiting(Peer(server), [.. pieces]);
    }

    private static ulong Peer(KernelObject server) => new KernelObject("unix_sock", server.Address)["peer"];

    private static KernelObject Pointed(KernelObject from, string member, string structure) =>
        from.Pointed(member, structure) ?? throw new KernelRefusal($"look at {member} of the kernel's struct {from.Structure}", Errno.EFAULT);

    /// <summary>Where the socket behind a descriptor lies; only good for telling it from others. Throws <see cref="KernelRefusal"/>.</summary>
    public static ulong SocketOf(int pid, int descriptor) => KernelSight.FilesOf(pid).TryGetValue(descriptor, out KernelObject file)
        ? Pointed(Pointed(file, "private_data", "socket"), "sk", "sock").Address
        : throw new KernelRefusal("look at a descriptor", Errno.EBADF, $"process {pid}");
}
