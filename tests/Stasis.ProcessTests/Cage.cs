using System.Runtime.InteropServices;
using System.Text;

[assembly: System.Runtime.CompilerServices.DisableRuntimeMarshalling]

namespace Stasis.ProcessTests;

/// <summary>
/// Runs a script in a pid and mount namespace of its own, with a limit on its time; nothing it starts outlives it.
/// </summary>
/// <remarks>
/// Started by posix_spawn and not by System.Diagnostics.Process, whose child reaper takes every child of this process.
/// </remarks>
internal static unsafe partial class Cage
{
    // Limits are there to end what hangs, not to measure: what takes a minute on an idle machine is given three on a busy one.
    private const int OfALoadedMachine = 3;
    private const int WNOHANG = 1;
    private const int SIGKILL = 9;
    private const int O_WRONLY_CREAT_APPEND = 0x1 | 0x40 | 0x400;

    /// <summary>Where the repository is: the folder above this assembly that has the script `run`.</summary>
    public static string Home { get; } = FindHome();

    /// <summary>The published native binary, which is what these tests test.</summary>
    public static string Binary => Environment.GetEnvironmentVariable("STASIS") ?? Path.Combine(Home, "out/stasis");

    /// <summary>A new directory for one scenario. It is removed if the scenario succeeds and kept if it fails.</summary>
    public static string NewDirectory(string name)
    {
        string root = Path.Combine(Path.GetTempPath(), "stasis-tests");
        Directory.CreateDirectory(root);
        string directory = Path.Combine(root, $"{name}-{Environment.ProcessId}-{Interlocked.Increment(ref _directories)}");
        Directory.CreateDirectory(directory);
        return directory;
    }

    /// <summary>Runs one scenario of tests/drive.sh and fails with what it said and the line that repeats it.</summary>
    public static void Drive(string victim, string mode, params string[] variables)
    {
        string directory = NewDirectory($"{victim}-{mode.Replace(' ', '-')}");
        string[] command =
            ["unshare", "--pid", "--mount", "--ipc", "--fork", "--mount-proc", "--kill-child", "bash", Path.Combine(Home, "tests/drive.sh"), victim, mode, directory];
        Outcome outcome = Run(command, directory, TimeSpan.FromSeconds(90 * OfALoadedMachine), ["STASIS_CAGE=yes", .. variables]);
        if (outcome.ExitCode != 0)
            Assert.Fail($"{outcome}\nfiles:  {directory}\nrepeat: {string.Join(' ', [.. variables, "tests/drive.sh", victim, mode])}");
        Directory.Delete(directory, recursive: true);
    }

    /// <summary>
    /// Runs a bash script in a cage, with the functions of tests/functions.sh at hand, in a new directory that is kept
    /// and named if the script fails.
    /// </summary>
    public static Outcome Script(string name, string script, int limitSeconds = 60)
    {
        string directory = NewDirectory(name);
        Outcome outcome = ScriptIn(directory, script, limitSeconds);
        Directory.Delete(directory, recursive: true);
        return outcome;
    }

    /// <summary>As <see cref="Script"/>, in a directory of the caller's, which stays.</summary>
    public static Outcome ScriptIn(string directory, string script, int limitSeconds = 60)
    {
        string file = Path.Combine(directory, "script");
        File.WriteAllText(file, $". {Path.Combine(Home, "tests/functions.sh")}\n{script}\n");
        string[] command = ["unshare", "--pid", "--mount", "--ipc", "--fork", "--mount-proc", "--kill-child", "bash", file];
        Outcome outcome = Run(command, directory, TimeSpan.FromSeconds(limitSeconds * OfALoadedMachine), [$"STASIS={Binary}"]);
        if (outcome.ExitCode != 0)
            Assert.Fail($"{outcome}\nfiles:  {directory}\nrepeat: (cd {directory} && rm -rf cwd image* && STASIS={Binary} {string.Join(' ', command)})");
        return outcome;
    }

    /// <summary>What a command came to; ExitCode is -1 if it was killed for taking too long, 128+n if by signal n.</summary>
    internal sealed record Outcome(int ExitCode, string Output)
    {
        public override string ToString() =>
            $"{(ExitCode == -1 ? "killed: over its time" : $"exit code {ExitCode}")}\n{Output}";
    }

    private static Outcome Run(string[] command, string directory, TimeSpan limit, string[] variables)
    {
        string output = Path.Combine(directory, "driver-output");
        int pid = Spawn(command, directory, output, variables);
        long deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        int status = 0;
        bool late = false;
        while (true)
        {
            int ended = waitpid(pid, &status, late ? 0 : WNOHANG);
            if (ended == pid)
                break;
            if (ended == -1)
                throw new InvalidOperationException($"waitpid({pid}): errno {Marshal.GetLastSystemError()}");
            if (Environment.TickCount64 > deadline)
            {
                // unshare --kill-child: its death is the death of all in the cage.
                late = true;
                _ = kill(pid, SIGKILL);
                continue;
            }

            Thread.Sleep(5);
        }

        int exitCode = late ? -1 : (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
        return new Outcome(exitCode, File.Exists(output) ? File.ReadAllText(output) : "");
    }

    private static int Spawn(string[] command, string directory, string output, string[] variables)
    {
        // posix_spawn_file_actions_t is 80 bytes in glibc and musl on 64-bit machines; leave room.
        byte* actions = stackalloc byte[512];
        Check(posix_spawn_file_actions_init(actions));
        using Strings arguments = new(command);
        using Strings environment = new([.. Variables(), .. variables]);
        using Strings paths = new(["/dev/null", output, directory]);
        Check(posix_spawn_file_actions_addopen(actions, 0, paths.Pointer[0], 0, 0));
        Check(posix_spawn_file_actions_addopen(actions, 1, paths.Pointer[1], O_WRONLY_CREAT_APPEND, 0x1b6));
        Check(posix_spawn_file_actions_adddup2(actions, 1, 2));
        Check(posix_spawn_file_actions_addchdir_np(actions, paths.Pointer[2]));
        int pid;
        int error = posix_spawnp(&pid, arguments.Pointer[0], actions, null, arguments.Pointer, environment.Pointer);
        _ = posix_spawn_file_actions_destroy(actions);
        Check(error);
        return pid;
    }

    private static IEnumerable<string> Variables()
    {
        // Short and the same everywhere; nothing of the runtime's own leaks into the victims.
        yield return $"PATH={Environment.GetEnvironmentVariable("PATH")}";
        yield return $"HOME={Environment.GetEnvironmentVariable("HOME") ?? "/root"}";
        yield return "LC_ALL=C";
    }

    private static void Check(int error)
    {
        if (error != 0)
            throw new InvalidOperationException($"posix_spawn failed: errno {error}");
    }

    private static string FindHome()
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "tests/drive.sh")))
                return directory.FullName;
        }

        throw new InvalidOperationException($"no repository above {AppContext.BaseDirectory}");
    }

    private static int _directories;

    /// <summary>A null-terminated array of C strings, alive until disposed of.</summary>
    private readonly ref struct Strings
    {
        private readonly int _count;

        public Strings(string[] values)
        {
            _count = values.Length;
            Pointer = (byte**)NativeMemory.AllocZeroed((nuint)(_count + 1), (nuint)sizeof(byte*));
            for (int i = 0; i < _count; i++)
            {
                byte[] bytes = Encoding.UTF8.GetBytes(values[i] + "\0");
                Pointer[i] = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
                bytes.CopyTo(new Span<byte>(Pointer[i], bytes.Length));
            }
        }

        public byte** Pointer { get; }

        public void Dispose()
        {
            for (int i = 0; i < _count; i++)
                NativeMemory.Free(Pointer[i]);
            NativeMemory.Free(Pointer);
        }
    }

    [LibraryImport("libc")]
    private static partial int posix_spawnp(int* pid, byte* file, byte* actions, void* attributes, byte** arguments, byte** environment);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_init(byte* actions);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_destroy(byte* actions);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_addopen(byte* actions, int descriptor, byte* path, int flags, uint mode);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_adddup2(byte* actions, int from, int to);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_addchdir_np(byte* actions, byte* path);

    [LibraryImport("libc")]
    private static partial int waitpid(int pid, int* status, int options);

    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);
}
