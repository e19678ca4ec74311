using System.Text;

namespace Stasis.Linux;

/// <summary>inotify(7) (include/uapi/linux/inotify.h).</summary>
public static class Inotify
{
    public const uint IN_ACCESS = 0x1, IN_MODIFY = 0x2, IN_ATTRIB = 0x4, IN_CLOSE_WRITE = 0x8, IN_CLOSE_NOWRITE = 0x10, IN_OPEN = 0x20, IN_ALL_EVENTS = 0xfff;
    public const uint IN_EXCL_UNLINK = 0x04000000, IN_DONT_FOLLOW = 0x02000000, IN_MASK_CREATE = 0x10000000, IN_ONESHOT = 0x80000000;

    /// <summary>An event without a name: wd 4, mask 4, cookie 4, len 4.</summary>
    public const int EventSize = 16;

    /// <summary>_IOW('I', 0, __s32): the number that the next watch gets at least; in kernels built with CONFIG_CHECKPOINT_RESTORE.</summary>
    private const ulong INOTIFY_IOC_SETNEXTWD = 0x40044900, FIONREAD = 0x541B;

    public static SysResult Create() => Kernel.Call(Syscall.inotify_init1, OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC);

    public static SysResult Add(int inotify, string path, uint mask)
    {
        Span<byte> bytes = new byte[Encoding.UTF8.GetByteCount(path) + 1];
        Encoding.UTF8.GetBytes(path, bytes);
        return Kernel.CallWith(bytes, address => Kernel.Call(Syscall.inotify_add_watch, inotify, address, unchecked((int)mask)));
    }

    public static SysResult Remove(int inotify, int watch) => Kernel.Call(Syscall.inotify_rm_watch, inotify, watch);
    public static SysResult SetNext(int inotify, int watch) => Files.IoControl(inotify, INOTIFY_IOC_SETNEXTWD, watch);

    /// <summary>How many bytes of events wait.</summary>
    public static int Waiting(int inotify)
    {
        int bytes = 0;
        Files.IoControl(inotify, FIONREAD, ref bytes).OrThrow("ioctl(FIONREAD) of an inotify instance");
        return bytes;
    }
}

/// <summary>open_by_handle_at(2).</summary>
public static class FileHandles
{
    /// <summary>A descriptor (O_PATH) of the inode that a handle names, in the file system that <paramref name="mount"/> is a file of.</summary>
    public static SysResult Open(int mount, int type, ReadOnlySpan<byte> handle)
    {
        // struct file_handle: handle_bytes 4, handle_type 4, f_handle
        Span<byte> bytes = new byte[8 + handle.Length];
        BitConverter.TryWriteBytes(bytes, handle.Length);
        BitConverter.TryWriteBytes(bytes[4..], type);
        handle.CopyTo(bytes[8..]);
        return Kernel.CallWith(bytes, address => Kernel.Call(Syscall.open_by_handle_at, mount, address, OpenFlags.O_PATH | OpenFlags.O_CLOEXEC));
    }
}
