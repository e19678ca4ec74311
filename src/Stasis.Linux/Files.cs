using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Stasis.Linux;

/// <summary>Flags of open(2) on x86-64 (include/uapi/asm-generic/fcntl.h).</summary>
public static class OpenFlags
{
    public const int O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_ACCMODE = 3, O_CREAT = 0x40, O_EXCL = 0x80, O_NOCTTY = 0x100,
        O_TRUNC = 0x200, O_APPEND = 0x400, O_NONBLOCK = 0x800, O_DSYNC = 0x1000, O_ASYNC = 0x2000, O_DIRECT = 0x4000,
        O_LARGEFILE = 0x8000, O_DIRECTORY = 0x10000, O_NOFOLLOW = 0x20000, O_NOATIME = 0x40000, O_CLOEXEC = 0x80000,
        O_SYNC = 0x101000, O_PATH = 0x200000, __O_TMPFILE = 0x400000, O_TMPFILE = 0x410000;
    public const int AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_EMPTY_PATH = 0x1000, AT_SYMLINK_FOLLOW = 0x400;
}

/// <summary>File types in st_mode (man 7 inode).</summary>
public enum FileType { Unknown = 0, Fifo = 0x1000, CharacterDevice = 0x2000, Directory = 0x4000, BlockDevice = 0x6000, Regular = 0x8000, Link = 0xA000, Socket = 0xC000 }

/// <summary>The identity and attributes of an inode as statx(2) gives them. Device numbers as (major, minor); times in nanoseconds since 1970.</summary>
public readonly record struct FileStatus(
    FileType Type, int Permissions, uint DeviceMajor, uint DeviceMinor, ulong Inode, long Size, uint Links, uint Uid, uint Gid,
    uint RawMajor, uint RawMinor, long ModifiedNanoseconds, long ChangedNanoseconds, long Blocks)
{
    public (uint, uint, ulong) Identity => (DeviceMajor, DeviceMinor, Inode);
}

/// <summary>File calls of our own process. Paths are UTF-8; results are value-or-errno.</summary>
public static unsafe class Files
{
    public const int MaxPath = 4096;

    /// <summary>Runs <paramref name="call"/> with a NUL-terminated UTF-8 copy of the path. ENAMETOOLONG where it is longer than PATH_MAX.</summary>
    private static SysResult WithPath(string path, Func<nint, SysResult> call)
    {
        Span<byte> bytes = stackalloc byte[MaxPath + 1];
        if (Encoding.UTF8.GetByteCount(path) > MaxPath) return SysResult.Error(Errno.ENAMETOOLONG);
        int length = Encoding.UTF8.GetBytes(path, bytes);
        bytes[length] = 0;
        fixed (byte* pointer = bytes) return call((nint)pointer);
    }

    public static SysResult Open(string path, int flags, int mode = 0) => OpenAt(OpenFlags.AT_FDCWD, path, flags, mode);
    public static SysResult OpenAt(int directory, string path, int flags, int mode = 0) =>
        WithPath(path, p => Kernel.CallRetrying(Syscall.openat, directory, p, flags, mode));

    public static SysResult Close(int descriptor) => Kernel.Call(Syscall.close, descriptor);
    public static SysResult Unlink(string path) => WithPath(path, p => Kernel.Call(Syscall.unlink, p));
    public static SysResult RemoveDirectory(string path) => WithPath(path, p => Kernel.Call(Syscall.rmdir, p));
    public static SysResult MakeDirectory(string path, int mode) => WithPath(path, p => Kernel.Call(Syscall.mkdir, p, mode));
    public static SysResult Rename(string from, string to) => WithPath(from, f => WithPath(to, t => Kernel.Call(Syscall.rename, f, t)));
    public static SysResult RenameNoReplace(string from, string to) =>
        WithPath(from, f => WithPath(to, t => Kernel.Call(Syscall.renameat2, OpenFlags.AT_FDCWD, f, OpenFlags.AT_FDCWD, t, 1)));
    public static SysResult MakeNode(string path, int mode, ulong device = 0) => WithPath(path, p => Kernel.Call(Syscall.mknod, p, mode, (nint)device));
    public static SysResult Link(int descriptor, string to) =>
        WithPath($"/proc/self/fd/{descriptor}", f => WithPath(to, t => Kernel.Call(Syscall.linkat, OpenFlags.AT_FDCWD, f, OpenFlags.AT_FDCWD, t, OpenFlags.AT_SYMLINK_FOLLOW)));
    public static SysResult LinkPath(string from, string to) => WithPath(from, f => WithPath(to, t => Kernel.Call(Syscall.link, f, t)));
    public static SysResult Access(string path, int mode) => WithPath(path, p => Kernel.Call(Syscall.access, p, mode));
    public static SysResult ChangeDirectory(string path) => WithPath(path, p => Kernel.Call(Syscall.chdir, p));
    public static SysResult ChangeRoot(string path) => WithPath(path, p => Kernel.Call(Syscall.chroot, p));
    public static SysResult ChangeMode(string path, int mode) => WithPath(path, p => Kernel.Call(Syscall.fchmodat, OpenFlags.AT_FDCWD, p, mode));
    public static SysResult ChangeOwner(string path, uint uid, uint gid) =>
        WithPath(path, p => Kernel.Call(Syscall.fchownat, OpenFlags.AT_FDCWD, p, (nint)uid, (nint)gid, OpenFlags.AT_SYMLINK_NOFOLLOW));
    public static SysResult Truncate(int descriptor, long size) => Kernel.CallRetrying(Syscall.ftruncate, descriptor, (nint)size);
    public static SysResult Sync(int descriptor) => Kernel.CallRetrying(Syscall.fsync, descriptor);
    /// <summary>Has the system begin to write a file to its disk (man 2 sync_file_range); <see cref="Sync"/> then has less to wait for. Not for every file system.</summary>
    public static SysResult BeginSync(int descriptor)
    {
        const int SYNC_FILE_RANGE_WRITE = 2;
        return Kernel.Call(Syscall.sync_file_range, descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
    }

    public static SysResult Seek(int descriptor, long offset, int whence) => Kernel.Call(Syscall.lseek, descriptor, (nint)offset, whence);
    public static SysResult Control(int descriptor, int command, nint argument = 0) => Kernel.Call(Syscall.fcntl, descriptor, command, argument);
    public static SysResult IoControl(int descriptor, ulong request, nint argument = 0) => Kernel.Call(Syscall.ioctl, descriptor, (nint)request, argument);
    public static SysResult MemoryFile(string name, uint flags) => WithPath(name, p => Kernel.Call(Syscall.memfd_create, p, (nint)flags));

    /// <summary>fcntl with a struct.</summary>
    public static SysResult Control(int descriptor, int command, byte[] argument)
    {
        fixed (byte* pointer = argument) return Kernel.Call(Syscall.fcntl, descriptor, command, (nint)pointer);
    }

    public static SysResult IoControl<T>(int descriptor, ulong request, ref T argument) where T : unmanaged
    {
        fixed (T* pointer = &argument) return Kernel.Call(Syscall.ioctl, descriptor, (nint)request, (nint)pointer);
    }

    public static SysResult IoControl(int descriptor, ulong request, Span<byte> argument)
    {
        fixed (byte* pointer = argument) return Kernel.Call(Syscall.ioctl, descriptor, (nint)request, (nint)pointer);
    }

    public static SysResult Read(int descriptor, Span<byte> buffer)
    {
        fixed (byte* pointer = buffer) return Kernel.CallRetrying(Syscall.read, descriptor, (nint)pointer, buffer.Length);
    }

    public static SysResult Write(int descriptor, ReadOnlySpan<byte> buffer)
    {
        fixed (byte* pointer = buffer) return Kernel.CallRetrying(Syscall.write, descriptor, (nint)pointer, buffer.Length);
    }

    public static SysResult ReadAt(int descriptor, Span<byte> buffer, long offset)
    {
        fixed (byte* pointer = buffer) return Kernel.CallRetrying(Syscall.pread64, descriptor, (nint)pointer, buffer.Length, (nint)offset);
    }

    public static SysResult WriteAt(int descriptor, ReadOnlySpan<byte> buffer, long offset)
    {
        fixed (byte* pointer = buffer) return Kernel.CallRetrying(Syscall.pwrite64, descriptor, (nint)pointer, buffer.Length, (nint)offset);
    }

    /// <summary>Writes all of the buffer at the offset; the error of the first write that failed (ENOSPC on a full disk).</summary>
    public static SysResult WriteAllAt(int descriptor, ReadOnlySpan<byte> buffer, long offset)
    {
        long written = 0;
        while (written < buffer.Length)
        {
            SysResult result = WriteAt(descriptor, buffer[(int)written..], offset + written);
            if (result.Failed) return result;
            if (result.Value == 0) return SysResult.Error(Errno.EIO);
            written += result.Value;
        }
        return new SysResult(written);
    }

    public static SysResult WriteAll(int descriptor, ReadOnlySpan<byte> buffer)
    {
        int written = 0;
        while (written < buffer.Length)
        {
            SysResult result = Write(descriptor, buffer[written..]);
            if (result.Failed) return result;
            written += (int)result.Value;
        }
        return new SysResult(written);
    }

    /// <summary>The target of a symbolic link. Bytes that are not UTF-8 come back as U+FFFD: the caller refuses such names.</summary>
    public static (SysResult Result, string Target) ReadLink(string path)
    {
        byte[] buffer = t_shared ??= new byte[SharedSize];
        SysResult result;
        fixed (byte* pointer = buffer)
        {
            nint address = (nint)pointer;
            result = WithPath(path, p => Kernel.Call(Syscall.readlink, p, address, MaxPath * 2));
        }
        return (result, result.Failed ? "" : Encoding.UTF8.GetString(buffer, 0, (int)result.Value));
    }

    /// <summary>The magic number of the file system that a path is on (man 2 statfs, f_type); 0 when it can't be looked at.</summary>
    public static uint FileSystemType(string path)
    {
        // struct statfs: 120 bytes, f_type first
        Span<byte> statfs = stackalloc byte[120];
        statfs.Clear();
        fixed (byte* pointer = statfs)
        {
            nint address = (nint)pointer;
            SysResult result = WithPath(path, p => Kernel.CallRetrying(Syscall.statfs, p, address));
            return result.Failed ? 0 : MemoryMarshal.Read<uint>(statfs);
        }
    }

    /// <summary>The magic number of the file system that a path is on, and its block size (man 2 statfs); zeros when it can't be looked at.</summary>
    public static (uint Magic, long BlockSize) FileSystemKind(string path)
    {
        // struct statfs: f_type, f_bsize, …, 120 bytes
        long* statfs = stackalloc long[15];
        nint address = (nint)statfs;
        return WithPath(path, p => Kernel.CallRetrying(Syscall.statfs, p, address)).Failed ? (0, 0) : ((uint)statfs[0], statfs[1]);
    }

    /// <summary>statx(2) of a path, following links (also the magic links of /proc/PID/fd).</summary>
    public static (SysResult Result, FileStatus Status) Status(string path, bool followLinks = true) =>
        StatusAt(OpenFlags.AT_FDCWD, path, followLinks ? 0 : OpenFlags.AT_SYMLINK_NOFOLLOW);

    public static (SysResult Result, FileStatus Status) Status(int descriptor) => StatusAt(descriptor, "", OpenFlags.AT_EMPTY_PATH);

    private static (SysResult, FileStatus) StatusAt(int directory, string path, int flags)
    {
        const uint STATX_BASIC_STATS = 0x7ff;
        Span<byte> statx = stackalloc byte[256];
        statx.Clear();
        SysResult result;
        fixed (byte* pointer = statx)
        {
            nint address = (nint)pointer;
            result = WithPath(path, p => Kernel.CallRetrying(Syscall.statx, directory, p, flags, (nint)STATX_BASIC_STATS, address));
        }
        if (result.Failed) return (result, default);
        // struct statx, include/uapi/linux/stat.h
        int mode = MemoryMarshal.Read<ushort>(statx[28..]);
        return (result, new FileStatus(
            (FileType)(mode & 0xF000), mode & 0xFFF,
            MemoryMarshal.Read<uint>(statx[136..]), MemoryMarshal.Read<uint>(statx[140..]), MemoryMarshal.Read<ulong>(statx[32..]),
            MemoryMarshal.Read<long>(statx[40..]), MemoryMarshal.Read<uint>(statx[16..]),
            MemoryMarshal.Read<uint>(statx[20..]), MemoryMarshal.Read<uint>(statx[24..]),
            MemoryMarshal.Read<uint>(statx[128..]), MemoryMarshal.Read<uint>(statx[132..]),
            Nanoseconds(statx[112..]), Nanoseconds(statx[96..]), MemoryMarshal.Read<long>(statx[48..])));
    }

    private static long Nanoseconds(ReadOnlySpan<byte> timestamp) =>
        unchecked(MemoryMarshal.Read<long>(timestamp) * 1_000_000_000 + MemoryMarshal.Read<uint>(timestamp[8..]));

    /// <summary>The magic number of the file system that a path leads to (statfs f_type); 0 when it can't be asked.</summary>
    public static long FileSystem(string path)
    {
        const int statfs = 137;
        long* buffer = stackalloc long[15];
        nint address = (nint)buffer;
        return WithPath(path, p => Kernel.Call((Syscall)statfs, p, address)).Failed ? 0 : buffer[0];
    }

    /// <summary>A whole small file (of /proc), at most <paramref name="limit"/> bytes; the errno when it can't be read.</summary>
    public static (SysResult Result, byte[] Bytes) ReadAll(string path, int limit = LongestText)
    {
        SysResult result = ReadShared(path, limit, out ReadOnlySpan<byte> bytes);
        return (result, bytes.ToArray());
    }

    private const int SharedSize = 32 * 1024, LongestText = 256 * 1024 * 1024;

    // A look at a process reads hundreds of small files, and memory that is used again need not be asked for and cleared.
    [ThreadStatic] private static byte[]? t_shared;

    // What was read is there until this thread reads the next one.
    private static SysResult ReadShared(string path, int limit, out ReadOnlySpan<byte> bytes)
    {
        bytes = [];
        SysResult opened = Open(path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return opened;
        using var handle = new DescriptorHandle(opened.Descriptor);
        byte[] buffer = t_shared ??= new byte[SharedSize];
        int length = 0;
        while (true)
        {
            SysResult read = Read(handle.Number, buffer.AsSpan(length));
            if (read.Failed) return read;
            if (read.Value == 0) break;
            length += (int)read.Value;
            if (length > limit) return SysResult.Error(Errno.EFBIG);
            if (length == buffer.Length) Array.Resize(ref buffer, buffer.Length * 2);
        }
        bytes = buffer.AsSpan(0, length);
        return new SysResult(length);
    }

    public delegate void LineReader(ReadOnlySpan<byte> line);

    /// <summary>Gives a large file of /proc line by line, without the newline. EFBIG for a line of more than 128 KiB.</summary>
    public static SysResult ReadLines(string path, LineReader take)
    {
        SysResult opened = Open(path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return opened;
        using var file = new DescriptorHandle(opened.Descriptor);
        byte[] buffer = new byte[128 * 1024];
        int filled = 0;
        while (true)
        {
            SysResult read = Read(file.Number, buffer.AsSpan(filled));
            if (read.Failed || read.Value == 0) return read;
            filled += (int)read.Value;
            int start = 0;
            for (int end; (end = buffer.AsSpan(start, filled - start).IndexOf((byte)'\n')) >= 0; start += end + 1) take(buffer.AsSpan(start, end));
            buffer.AsSpan(start, filled - start).CopyTo(buffer);
            filled -= start;
            if (filled == buffer.Length) return SysResult.Error(Errno.EFBIG);
        }
    }

    public static (SysResult Result, string Text) ReadText(string path)
    {
        SysResult result = ReadShared(path, LongestText, out ReadOnlySpan<byte> bytes);
        return (result, Encoding.UTF8.GetString(bytes));
    }

    public static SysResult WriteText(string path, string text)
    {
        SysResult opened = Open(path, OpenFlags.O_WRONLY | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return opened;
        using var handle = new DescriptorHandle(opened.Descriptor);
        return WriteAll(handle.Number, Encoding.UTF8.GetBytes(text));
    }

    /// <summary>Names in a directory without "." and ".." (getdents64 by way of the framework would follow links of /proc; this does not).</summary>
    public static (SysResult Result, List<string> Names) List(string path)
    {
        const int getdents64 = 217;
        SysResult opened = Open(path, OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY | OpenFlags.O_CLOEXEC);
        List<string> names = [];
        if (opened.Failed) return (opened, names);
        using var handle = new DescriptorHandle(opened.Descriptor);
        byte[] buffer = t_shared ??= new byte[SharedSize];
        fixed (byte* pointer = buffer)
        {
            while (true)
            {
                SysResult read = Kernel.CallRetrying((Syscall)getdents64, handle.Number, (nint)pointer, buffer.Length);
                if (read.Failed) return (read, names);
                if (read.Value == 0) return (read, names);
                for (int at = 0; at < read.Value;)
                {
                    // struct linux_dirent64: d_ino 8, d_off 8, d_reclen 2, d_type 1, d_name
                    int recordLength = MemoryMarshal.Read<ushort>(buffer.AsSpan(at + 16));
                    ReadOnlySpan<byte> name = buffer.AsSpan(at + 19, recordLength - 19);
                    name = name[..name.IndexOf((byte)0)];
                    if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8)) names.Add(Encoding.UTF8.GetString(name));
                    at += recordLength;
                }
            }
        }
    }
}

/// <summary>A descriptor of our own, closed with the handle.</summary>
public sealed class DescriptorHandle : SafeHandleMinusOneIsInvalid
{
    public DescriptorHandle(int descriptor) : base(true) => SetHandle(descriptor);
    public int Number => (int)handle;
    protected override bool ReleaseHandle() => !Files.Close((int)handle).Failed;
}
