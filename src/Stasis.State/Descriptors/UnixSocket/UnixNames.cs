using System.Text;
using Stasis.Linux;

namespace Stasis.State.Descriptors.UnixSocket;

/// <summary>Names of UNIX sockets: the bytes of sun_path, and what is done by name.</summary>
internal static class UnixNames
{
    public const int MaxLength = 108;

    public static bool IsPath(ReadOnlySpan<byte> name) => name.Length > 0 && name[0] != 0;
    public static string Path(ReadOnlySpan<byte> name) => Encoding.UTF8.GetString(name);

    /// <summary>Where the C library connects to by itself, and again when that fails: syslog(3) to /dev/log, or the name that systemd's journal
    /// has behind it, and the look-up of users, groups and hosts to nscd.</summary>
    public static bool LibraryConnectsAgain(ReadOnlySpan<byte> name) => name.SequenceEqual("/dev/log"u8) || name.SequenceEqual("/run/systemd/journal/dev-log"u8)
        || name.SequenceEqual("/var/run/nscd/socket"u8) || name.SequenceEqual("/run/nscd/socket"u8);
    public static bool IsText(ReadOnlySpan<byte> name) => !Path(name).Contains('\uFFFD');
    public static string Words(ReadOnlySpan<byte> name) => name.Length == 0 ? "an unnamed socket" : IsPath(name) ? Path(name) : $"@{Path(name[1..]).Replace('\0', '@')}";

    /// <summary>From sun_path, as sock_diag and the socket calls give it: a path comes with the zero byte behind it.</summary>
    public static byte[] Trim(ReadOnlySpan<byte> name) => IsPath(name) ? name.TrimEnd((byte)0).ToArray() : name.ToArray();

    public static byte[] FromAddress(ReadOnlySpan<byte> address) => address.Length <= 2 ? [] : Trim(address[2..]);

    public static byte[] ToAddress(ReadOnlySpan<byte> name)
    {
        byte[] address = new byte[2 + name.Length + (IsPath(name) && name.Length < MaxLength ? 1 : 0)];
        address[0] = SocketConstants.AF_UNIX;
        name.CopyTo(address.AsSpan(2));
        return address;
    }

    /// <summary>Binds or connects by the real name: a relative path from its directory.</summary>
    public static SysResult ByName(ReadOnlySpan<byte> name, string? directory, Func<byte[], SysResult> call)
    {
        byte[] address = ToAddress(name);
        return From(directory, () => call(address));
    }

    /// <summary>Makes a call with a working directory of its own; null for ours.</summary>
    public static SysResult From(string? directory, Func<SysResult> call)
    {
        if (directory is null) return call();
        SysResult result = default;
        OwnThread.Run(OwnThread.CLONE_FS, () =>
        {
            Files.ChangeDirectory(directory).OrThrow($"chdir to {directory}");
            result = call();
        });
        return result;
    }

    /// <summary>
    /// Gives a socket a name with no regard to who has it: a path is bound below a private root, whose file is removed at once. So
    /// the program reads the name that it knows, and the file system outside is not touched. An abstract name has only one place.
    /// </summary>
    public static void BindAside(int socket, byte[] name) => KeepAside(socket, name)?.Dispose();

    /// <summary>As <see cref="BindAside"/>, with the file kept until the result is disposed of; null for a name without a file.</summary>
    public static AsideName? KeepAside(int socket, byte[] name)
    {
        if (name.Length == 0) return null;
        if (!IsPath(name))
        {
            Linux.Sockets.Bind(socket, ToAddress(name)).OrThrow($"bind of a UNIX socket to {Words(name)}");
            return null;
        }
        var aside = new AsideName(System.IO.Directory.CreateTempSubdirectory("stasis-").FullName, Path(name));
        try
        {
            OwnThread.Run(OwnThread.CLONE_FS, () =>
            {
                Files.ChangeRoot(aside.Root).OrThrow("chroot to a directory for socket names");
                Files.ChangeDirectory("/").OrThrow("chdir to the new root");
                MakeParents(Path(name));
                Linux.Sockets.Bind(socket, ToAddress(name)).OrThrow($"bind of a UNIX socket to {Words(name)}");
            });
            return aside;
        }
        catch
        {
            aside.Dispose();
            throw;
        }
    }

    private static void MakeParents(string path)
    {
        for (int slash = path.IndexOf('/', 1); slash > 0; slash = path.IndexOf('/', slash + 1))
        {
            SysResult made = Files.MakeDirectory(path[..slash], 0x1C0 /* 0700 */);
            if (made.Failed && made.Errno != Errno.EEXIST) made.OrThrow($"mkdir {path[..slash]}");
        }
    }

    /// <summary>
    /// Whether a socket file has a socket behind it. Asked by a connect that can't succeed in a way the other side notices: the wrong
    /// type (EPROTOTYPE) or, for a datagram socket, a connection without a word.
    /// </summary>
    public static bool IsAlive(byte[] name, string? directory, int ownType)
    {
        int type = ownType == SocketConstants.SOCK_DGRAM ? SocketConstants.SOCK_STREAM : SocketConstants.SOCK_DGRAM;
        using var probe = new DescriptorHandle(Linux.Sockets.Create(SocketConstants.AF_UNIX, type).OrThrowDescriptor("socket(AF_UNIX)"));
        SysResult connected = ByName(name, directory, address => Linux.Sockets.Connect(probe.Number, address));
        return connected.Errno is not (Errno.ECONNREFUSED or Errno.ENOENT);
    }
}

/// <summary>Where a socket's file is while it has a name aside.</summary>
internal sealed class AsideName(string root, string path) : IDisposable
{
    public string Root => root;
    public UnixPlace Place => UnixPlace.OfFile($"{root}/{path}");
    public void Dispose() { if (System.IO.Directory.Exists(root)) System.IO.Directory.Delete(root, recursive: true); }
}

/// <summary>How a socket is reached: an address, for a file from its directory.</summary>
internal readonly record struct UnixPlace(string? Directory, byte[] Address)
{
    public static UnixPlace OfFile(string path) => new(System.IO.Path.GetDirectoryName(path), UnixNames.ToAddress(System.Text.Encoding.UTF8.GetBytes(System.IO.Path.GetFileName(path))));

    public static UnixPlace Of(UnixSocketRecord record, AsideName? aside) =>
        aside?.Place ?? (UnixNames.IsPath(record.Name) ? OfFile(record.Directory is null ? UnixNames.Path(record.Name) : $"{record.Directory}/{UnixNames.Path(record.Name)}") : new UnixPlace(null, UnixNames.ToAddress(record.Name)));
}
