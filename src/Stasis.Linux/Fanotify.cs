using System.Buffers.Binary;
using System.Text;

namespace Stasis.Linux;

/// <summary>fanotify(7) (include/uapi/linux/fanotify.h).</summary>
public static unsafe class Fanotify
{
    public const uint FAN_CLOEXEC = 1, FAN_NONBLOCK = 2, FAN_CLASS_CONTENT = 4, FAN_CLASS_PRE_CONTENT = 8, FAN_UNLIMITED_QUEUE = 0x10, FAN_UNLIMITED_MARKS = 0x20, FAN_REPORT_PIDFD = 0x80, FAN_REPORT_TID = 0x100,
        FAN_REPORT_FID = 0x200, FAN_REPORT_DIR_FID = 0x400, FAN_REPORT_NAME = 0x800, FAN_REPORT_TARGET_FID = 0x1000;
    public const uint FAN_MARK_ADD = 1, FAN_MARK_REMOVE = 2, FAN_MARK_DONT_FOLLOW = 4, FAN_MARK_MOUNT = 0x10, FAN_MARK_IGNORED_MASK = 0x20, FAN_MARK_IGNORED_SURV_MODIFY = 0x40, FAN_MARK_FILESYSTEM = 0x100,
        FAN_MARK_EVICTABLE = 0x200, FAN_MARK_IGNORE = 0x400;
    public const uint FAN_OPEN = 0x20, FAN_Q_OVERFLOW = 0x4000, FAN_EVENT_ON_CHILD = 0x08000000;

    /// <summary>FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM, FAN_PRE_ACCESS.</summary>
    public const uint PermissionEvents = 0x10000 | 0x20000 | 0x40000 | 0x100000;

    /// <summary>struct fanotify_event_metadata: event_len 4, vers 1, reserved 1, metadata_len 2, mask 8, fd 4, pid 4.</summary>
    public const int EventSize = 24;

    public static SysResult Create(uint flags, uint eventFlags) => Kernel.Call(Syscall.fanotify_init, (nint)flags, (nint)eventFlags);

    public static SysResult Mark(int group, uint flags, ulong mask, int directory, string path)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(path + "\0");
        return Kernel.CallWith<byte>(bytes, address => Kernel.Call(Syscall.fanotify_mark, group, (nint)flags, (nint)mask, directory, address));
    }

    /// <summary>How many events wait: the kernel counts the size of each without what comes behind it.</summary>
    public static int Waiting(int group)
    {
        const ulong FIONREAD = 0x541B;
        int bytes = 0;
        Files.IoControl(group, FIONREAD, ref bytes).OrThrow("ioctl(FIONREAD) of a fanotify group");
        return bytes / EventSize;
    }

    /// <summary>Reads events into the buffer and closes what they bring. EINVAL where not one has room.</summary>
    public static SysResult Take(int group, Span<byte> buffer)
    {
        const int FAN_EVENT_INFO_TYPE_PIDFD = 4;
        SysResult read = Files.Read(group, buffer);
        if (read.Failed) return read;
        int got = (int)read.Value, length;
        for (int at = 0; at + EventSize <= got; at += length)
        {
            length = BinaryPrimitives.ReadInt32LittleEndian(buffer[at..]);
            InvariantBroken.Require(length >= EventSize && length <= got - at, "an event of fanotify has an impossible length");
            if (BinaryPrimitives.ReadInt32LittleEndian(buffer[(at + 16)..]) is var opened and >= 0) Files.Close(opened);
            // struct fanotify_event_info_header: info_type 1, pad 1, len 2
            for (int info = at + EventSize; info + 4 <= at + length && BinaryPrimitives.ReadUInt16LittleEndian(buffer[(info + 2)..]) is var size and > 0; info += size)
                if (buffer[info] == FAN_EVENT_INFO_TYPE_PIDFD && BinaryPrimitives.ReadInt32LittleEndian(buffer[(info + 4)..]) is var process and >= 0) Files.Close(process);
        }
        return read;
    }

    /// <summary>A new tmpfs, mounted nowhere (man 2 fsmount): a directory, by its path alone.</summary>
    public static SysResult OpenScratch()
    {
        const int FSOPEN_CLOEXEC = 1, FSCONFIG_CMD_CREATE = 6, FSMOUNT_CLOEXEC = 1;
        byte[] name = "tmpfs\0"u8.ToArray();
        SysResult context = Kernel.CallWith<byte>(name, address => Kernel.Call(Syscall.fsopen, address, FSOPEN_CLOEXEC));
        if (context.Failed) return context;
        using var held = new DescriptorHandle(context.Descriptor);
        SysResult made = Kernel.Call(Syscall.fsconfig, held.Number, FSCONFIG_CMD_CREATE, 0, 0, 0);
        return made.Failed ? made : Kernel.Call(Syscall.fsmount, held.Number, FSMOUNT_CLOEXEC, 0);
    }
}
