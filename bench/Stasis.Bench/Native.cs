using System.Runtime.InteropServices;

namespace Stasis.Bench;

/// <summary>The few calls of libc that the bench needs. Everything else goes through <see cref="Child"/>.</summary>
internal static unsafe partial class Native
{
    internal const int SIGKILL = 9; // signal.h
    internal const int SIGUSR1 = 10;
    internal const int EINTR = 4; // errno.h
    internal const int O_RDONLY = 0; // fcntl.h
    internal const int O_WRONLY = 1;
    internal const int O_CREAT = 0x40;
    internal const int O_TRUNC = 0x200;
    internal const short POSIX_SPAWN_SETSID = 0x80; // spawn.h

    /// <summary>More than posix_spawn_file_actions_t (80) and posix_spawnattr_t (336) take in glibc on 64-bit machines.</summary>
    internal const int OpaqueBytes = 512;

    [LibraryImport("libc")]
    internal static partial int posix_spawnp(int* pid, byte* file, void* actions, void* attributes, byte** argv, byte** envp);

    [LibraryImport("libc")]
    internal static partial int posix_spawn_file_actions_init(void* actions);

    [LibraryImport("libc")]
    internal static partial int posix_spawn_file_actions_addopen(void* actions, int fd, byte* path, int flags, uint mode);

    [LibraryImport("libc")]
    internal static partial int posix_spawn_file_actions_destroy(void* actions);

    [LibraryImport("libc")]
    internal static partial int posix_spawnattr_init(void* attributes);

    [LibraryImport("libc")]
    internal static partial int posix_spawnattr_setflags(void* attributes, short flags);

    [LibraryImport("libc")]
    internal static partial int posix_spawnattr_destroy(void* attributes);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int waitpid(int pid, int* status, int options);

    [LibraryImport("libc")]
    internal static partial uint geteuid();

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int kill(int pid, int signal);
}
