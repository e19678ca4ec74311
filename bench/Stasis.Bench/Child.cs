using System.Collections;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Stasis.Bench;

/// <summary>
/// A program that the bench started, by posix_spawn. Never System.Diagnostics.Process: its reaper waits for children that
/// are not its own.
/// </summary>
internal sealed unsafe class Child
{
    private Child(int pid) => Pid = pid;

    public int Pid { get; }

    /// <summary>Starts a program; null for an output leaves it as ours is.</summary>
    public static Child Start(IReadOnlyList<string> command, string? output, string? error, bool ownSession = false)
    {
        using var strings = new NativeStrings();
        var actions = stackalloc byte[Native.OpaqueBytes];
        var attributes = stackalloc byte[Native.OpaqueBytes];
        Check(Native.posix_spawn_file_actions_init(actions), "posix_spawn_file_actions_init");
        Check(Native.posix_spawnattr_init(attributes), "posix_spawnattr_init");
        try
        {
            Open(0, "/dev/null", Native.O_RDONLY);
            if (output is not null) Open(1, output, Native.O_WRONLY | Native.O_CREAT | Native.O_TRUNC);
            if (error is not null) Open(2, error, Native.O_WRONLY | Native.O_CREAT | Native.O_TRUNC);
            if (ownSession) Check(Native.posix_spawnattr_setflags(attributes, Native.POSIX_SPAWN_SETSID), "posix_spawnattr_setflags");

            int pid;
            Check(
                Native.posix_spawnp(&pid, strings.Add(command[0]), actions, attributes, strings.AddArray(command), strings.AddArray(Environment())),
                $"posix_spawnp {command[0]}");
            return new Child(pid);
        }
        finally
        {
            _ = Native.posix_spawn_file_actions_destroy(actions); // these two only free memory and return 0
            _ = Native.posix_spawnattr_destroy(attributes);
        }

        void Open(int fd, string path, int flags) =>
            Check(Native.posix_spawn_file_actions_addopen(actions, fd, strings.Add(path), flags, 0x180 /* 0600 */), "posix_spawn_file_actions_addopen");
    }

    /// <summary>Runs a program to its end.</summary>
    public static Finished Run(IReadOnlyList<string> command, string directory)
    {
        var output = Path.Combine(directory, "output.txt");
        var error = Path.Combine(directory, "error.txt");
        var began = Stopwatch.GetTimestamp();
        var status = Start(command, output, error).Wait();
        var elapsed = Stopwatch.GetElapsedTime(began);
        return new Finished(status, File.ReadAllText(output), File.ReadAllText(error), elapsed);
    }

    /// <summary>Waits for the end. Returns the exit code, or 128 plus the signal that ended it.</summary>
    public int Wait()
    {
        int status;
        while (Native.waitpid(Pid, &status, 0) < 0)
        {
            var errno = Marshal.GetLastPInvokeError();
            if (errno != Native.EINTR) throw new BenchException($"waitpid {Pid} failed with errno {errno}");
        }

        var signal = status & 0x7f; // WTERMSIG of sys/wait.h
        return signal != 0 ? 128 + signal : (status >> 8) & 0xff;
    }

    /// <summary>Sends a signal to a process that this bench started or had restarted. False if there is none.</summary>
    public static bool Signal(int pid, int signal) => Native.kill(pid, signal) == 0;

    private static void Check(int errno, string call)
    {
        if (errno != 0) throw new BenchException($"{call} failed with errno {errno}");
    }

    private static List<string> Environment()
    {
        var list = new List<string>();
        foreach (DictionaryEntry entry in System.Environment.GetEnvironmentVariables()) list.Add($"{entry.Key}={entry.Value}");
        return list;
    }
}

/// <summary>How a program ended, what it said, and how long it took from spawn to wait.</summary>
internal readonly record struct Finished(int Status, string Output, string Error, TimeSpan Elapsed)
{
    /// <summary>This, or an exception with what the program said when it failed.</summary>
    public Finished OrFail(string what) =>
        Status == 0 ? this : throw new BenchException($"{what} ended with status {Status}: {(Error + Output).Trim()}");
}

/// <summary>Something the bench needs did not happen; the message says what.</summary>
internal sealed class BenchException(string message) : Exception(message);
