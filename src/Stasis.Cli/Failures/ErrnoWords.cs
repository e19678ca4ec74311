using Stasis.Linux;

namespace Stasis.Cli.Failures;

/// <summary>Error numbers in the words of strerror(3) with their names, so that people understand them and can look them up.</summary>
internal static class ErrnoWords
{
    public static string Of(Errno errno) => Words(errno) is { } words ? $"{words} ({errno})" : errno.ToString();

    private static string? Words(Errno errno) => errno switch
    {
        Errno.EPERM => "operation not permitted",
        Errno.ENOENT => "no such file or directory",
        Errno.ESRCH => "no such process",
        Errno.EIO => "input/output error",
        Errno.EBADF => "bad file descriptor",
        Errno.EAGAIN => "resource temporarily unavailable",
        Errno.ENOMEM => "cannot allocate memory",
        Errno.EACCES => "permission denied",
        Errno.EBUSY => "device or resource busy",
        Errno.EEXIST => "file exists",
        Errno.ENOTDIR => "not a directory",
        Errno.EISDIR => "is a directory",
        Errno.EINVAL => "invalid argument",
        Errno.ENFILE => "too many open files in the system",
        Errno.EMFILE => "too many open files",
        Errno.EFBIG => "file too large",
        Errno.ENOSPC => "no space left on device",
        Errno.EROFS => "read-only file system",
        Errno.EPIPE => "broken pipe",
        Errno.ENAMETOOLONG => "file name too long",
        Errno.ENOSYS => "function not implemented by this kernel",
        Errno.ENOTEMPTY => "directory not empty",
        Errno.ELOOP => "too many levels of symbolic links",
        Errno.EDQUOT => "disk quota exceeded",
        _ => null,
    };
}
