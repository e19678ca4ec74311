using System.Runtime.InteropServices;
using System.Text;

namespace Stasis.Linux;

/// <summary>Starts a program by posix_spawn(3), which never runs our code in a forked copy of this process.</summary>
public static unsafe partial class Spawn
{
    [LibraryImport("libc", EntryPoint = "posix_spawn")]
    private static partial int posix_spawn(int* pid, byte* path, void* actions, void* attributes, byte** argv, byte** envp);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static partial int posix_spawn_file_actions_init(void* actions);
    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static partial int posix_spawn_file_actions_adddup2(void* actions, int from, int to);
    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addclosefrom_np")]
    private static partial int posix_spawn_file_actions_addclosefrom_np(void* actions, int from);
    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static partial int posix_spawn_file_actions_destroy(void* actions);

    // sizeof(posix_spawn_file_actions_t) is 80 in glibc 2.36 (spawn.h).
    private const int ActionsLength = 256;

    /// <summary>The new pid. Every descriptor of ours without close-on-exec is inherited at its number.</summary>
    public static SysResult Start(string path, IReadOnlyList<string> arguments, IReadOnlyList<string> environment) => Start(path, arguments, environment, null);

    /// <summary>The new pid. It has a descriptor of ours as its input, another as its output, our error stream, and no others.</summary>
    public static SysResult Start(string path, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, int input, int output)
    {
        byte* actions = stackalloc byte[ActionsLength];
        int error = posix_spawn_file_actions_init(actions);
        if (error != 0) return SysResult.Error((Errno)error);
        try
        {
            error = posix_spawn_file_actions_adddup2(actions, input, 0);
            if (error == 0) error = posix_spawn_file_actions_adddup2(actions, output, 1);
            if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(actions, 3);
            return error != 0 ? SysResult.Error((Errno)error) : Start(path, arguments, environment, actions);
        }
        finally
        {
            posix_spawn_file_actions_destroy(actions);
        }
    }

    private static SysResult Start(string path, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, void* actions)
    {
        int pid = 0;
        List<nint> allocated = [];
        try
        {
            byte** argv = Vector(arguments, allocated);
            byte** envp = Vector(environment, allocated);
            int error = posix_spawn(&pid, (byte*)Copy(path, allocated), actions, null, argv, envp);
            return error != 0 ? SysResult.Error((Errno)error) : new SysResult(pid);
        }
        finally
        {
            foreach (nint block in allocated) NativeMemory.Free((void*)block);
        }
    }

    private static byte** Vector(IReadOnlyList<string> strings, List<nint> allocated)
    {
        byte** vector = (byte**)NativeMemory.AllocZeroed((nuint)(strings.Count + 1), (nuint)sizeof(byte*));
        allocated.Add((nint)vector);
        for (int i = 0; i < strings.Count; i++) vector[i] = (byte*)Copy(strings[i], allocated);
        return vector;
    }

    private static nint Copy(string text, List<nint> allocated)
    {
        int length = Encoding.UTF8.GetByteCount(text);
        byte* block = (byte*)NativeMemory.AllocZeroed((nuint)length + 1);
        allocated.Add((nint)block);
        Encoding.UTF8.GetBytes(text, new Span<byte>(block, length));
        return (nint)block;
    }
}
