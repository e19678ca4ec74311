using System.Runtime.InteropServices;
using System.Text;

namespace Stasis.Linux;

/// <summary>
/// The network interfaces of our network namespace (man 7 netdevice; /proc/self/net/dev). Not by /sys/class/net: that shows the namespace of who mounted
/// it, as of somebody that was entered without a mount namespace.
/// </summary>
public static class NetworkInterfaces
{
    private const ulong SIOCGIFNAME = 0x8910, SIOCGIFINDEX = 0x8933;
    private const int NameLength = 16, RequestLength = 40; // IFNAMSIZ, sizeof(struct ifreq)

    public static bool IsName(string device) => device.Length is > 0 and < NameLength && !device.Contains('/') && device is not ("." or "..");

    private static IEnumerable<string> Names() => Files.ReadText("/proc/self/net/dev").Text.Split('\n').Where(line => line.Contains(':')).Select(line => line[..line.IndexOf(':')].Trim());

    /// <summary>null when there is none of this number.</summary>
    public static string? Name(int index)
    {
        byte[] request = new byte[RequestLength];
        MemoryMarshal.Write(request.AsSpan(NameLength), index);
        return Ask(SIOCGIFNAME, request) ? Encoding.UTF8.GetString(request.AsSpan(0, NameLength).TrimEnd((byte)0)) : null;
    }

    /// <summary>null when there is none of this name.</summary>
    public static int? Index(string device) => Ask(SIOCGIFINDEX, device) is { } told ? MemoryMarshal.Read<int>(told) : null;

    // For a name that there is not, the kernel would load a module called so (net/core/dev_ioctl.c, dev_load).
    private static byte[]? Ask(ulong about, string device)
    {
        if (!Names().Contains(device)) return null;
        byte[] name = Encoding.UTF8.GetBytes(device), request = new byte[RequestLength];
        if (name.Length >= NameLength) return null;
        name.CopyTo(request, 0);
        return Ask(about, request) ? request[NameLength..] : null;
    }

    private static bool Ask(ulong about, byte[] request)
    {
        using var socket = new DescriptorHandle(Sockets.Create(SocketConstants.AF_UNIX, SocketConstants.SOCK_DGRAM).OrThrowDescriptor("socket"));
        return !Files.IoControl(socket.Number, about, request).Failed;
    }
}
