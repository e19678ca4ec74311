using System.Runtime.InteropServices;
using System.Text;

[assembly: System.Runtime.CompilerServices.DisableRuntimeMarshalling]

namespace Stasis.TestRunner;

/// <summary>
/// Runs a script in a cage (tests/cage: namespaces of its own, nothing inherited), with a limit on its time; nothing it starts outlives it. At its limit
/// what its processes are doing goes into its log before they die.
/// </summary>
/// <remarks>
/// Started by posix_spawn and not by System.Diagnostics.Process, whose child reaper takes every child of this process.
/// </remarks>
public static unsafe partial class Cage
{
    /// <summary>The exit code with which a script says that there is nothing to test here; its last line is "skipped: REASON".</summary>
    public const int Skipped = 75;

    // A limit ends what hangs, it does not measure.
    private const int ShortLimitSeconds = 60;
    private const int LongLimitSeconds = 600;
    private const int WNOHANG = 1;
    private const int SIGKILL = 9;
    private const int O_WRONLY_CREAT_APPEND = 0x1 | 0x40 | 0x400;
    private const short POSIX_SPAWN_SETSIGDEF = 0x04;
    private const short POSIX_SPAWN_SETSIGMASK = 0x08;

    /// <summary>Where the repository is: the folder above this assembly that has the script `run`.</summary>
    public static string Home { get; } = FindHome();

    /// <summary>Where what a passing cage said is shown; nowhere if null.</summary>
    public static TextWriter? OutputOfPassed { get; set; }

    /// <summary>A new directory for one scenario, with a short path. It is removed if the scenario succeeds and kept if it fails.</summary>
    public static string NewDirectory(string name)
    {
        string directory = Path.Combine("/tmp/stasis-tests", $"{name}-{Environment.ProcessId}-{Interlocked.Increment(ref _directories)}");
        Directory.CreateDirectory(directory);
        return directory;
    }

    /// <summary>Runs one scenario of tests/drive.sh and fails with what it said and the line that repeats it.</summary>
    public static void Drive(string victim, string mode, params string[] variables)
    {
        string directory = NewDirectory($"{victim}-{mode.Replace(' ', '-')}");
        string[] command = ["bash", "/tmp/checkout/tests/drive.sh", "--inside", victim, mode];
        RunIn(directory, command, LongLimitSeconds, variables);
        Directory.Delete(directory, recursive: true);
    }

    /// <summary>As <see cref="Drive"/>, within the gate's limit.</summary>
    public static void DriveShortly(string victim, string mode)
    {
        string directory = NewDirectory($"{victim}-{mode.Replace(' ', '-')}");
        RunIn(directory, ["bash", "/tmp/checkout/tests/drive.sh", "--inside", victim, mode], ShortLimitSeconds, []);
        Directory.Delete(directory, recursive: true);
    }

    /// <summary>
    /// Runs a bash script in a cage, with the functions of tests/functions.sh at hand, in a new directory that is kept
    /// and named if the script fails.
    /// </summary>
    public static Outcome Script(string name, string script, int limitSeconds = ShortLimitSeconds)
    {
        string directory = NewDirectory(name);
        Outcome outcome = ScriptIn(directory, script, limitSeconds);
        Directory.Delete(directory, recursive: true);
        return outcome;
    }

    /// <summary>As <see cref="Script"/>, in the folder work of a directory of the caller's, which stays.</summary>
    public static Outcome ScriptIn(string directory, string script, int limitSeconds = ShortLimitSeconds)
    {
        File.WriteAllText(Path.Combine(directory, "script"), $". /tmp/checkout/tests/functions.sh\n{script}\n");
        return RunIn(directory, ["bash", "/tmp/script"], limitSeconds, []);
    }

    /// <summary>Runs a command of the checkout outside of any cage of ours, because it makes its own.</summary>
    public static Outcome Command(string name, string[] command, int limitSeconds)
    {
        string directory = NewDirectory(name);
        Outcome outcome = Judge(Run(command, directory, TimeSpan.FromSeconds(limitSeconds), []), $"files:  {directory}\nrepeat: {string.Join(' ', command)}");
        Directory.Delete(directory, recursive: true);
        return outcome;
    }

    /// <summary>What a command came to; ExitCode is -1 if it was killed for taking too long, 128+n if by signal n.</summary>
    public sealed record Outcome(int ExitCode, string Output)
    {
        public override string ToString() =>
            $"{(ExitCode == -1 ? "killed: over its time" : $"exit code {ExitCode}")}\n{Output}";
    }

    private static Outcome RunIn(string directory, string[] command, int limitSeconds, string[] variables)
    {
        string[] caged = ["bash", Path.Combine(Home, "tests/cage"), directory, .. command];
        Outcome outcome = Run(caged, directory, TimeSpan.FromSeconds(limitSeconds), variables);
        return Judge(outcome, $"files:  {directory}/work\nrepeat: rm -rf {directory}/work; {string.Join(' ', [.. variables, .. caged])}");
    }

    private static Outcome Judge(Outcome outcome, string where)
    {
        if (outcome.ExitCode == Skipped)
        {
            string last = outcome.Output.TrimEnd().Split('\n')[^1];
            throw new TestSkippedException(last.StartsWith("skipped: ", StringComparison.Ordinal) ? last["skipped: ".Length..] : last);
        }

        if (outcome.ExitCode != 0)
            throw new TestFailedException($"{outcome}\n{where}");
        OutputOfPassed?.WriteLine(outcome.Output);
        return outcome;
    }

    private static Outcome Run(string[] command, string directory, TimeSpan limit, string[] variables)
    {
        string output = Path.Combine(directory, "driver-output");
        int pid = Spawn(command, directory, output, variables);
        long deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        int status = 0;
        string? state = null;
        while (true)
        {
            int ended = waitpid(pid, &status, state is null ? WNOHANG : 0);
            if (ended == pid)
                break;
            if (ended == -1)
                throw new InvalidOperationException($"waitpid({pid}): errno {Marshal.GetLastSystemError()}");
            if (Environment.TickCount64 > deadline)
            {
                try
                {
                    state = Processes.Describe(pid);
                }
                finally
                {
                    // unshare --kill-child: its death is the death of all in the cage; of what makes cages itself, the whole tree is known.
                    Processes.KillTree(pid);
                }

                continue;
            }

            Thread.Sleep(5);
        }

        int exitCode = state is not null ? -1 : (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
        string said = File.Exists(output) ? File.ReadAllText(output) : "";
        return new Outcome(exitCode, state is null ? said : $"{said}\nit did not end within {limit.TotalSeconds:0} s; its processes then:\n{state}");
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
        Check(posix_spawn_file_actions_addclosefrom_np(actions, 3));
        // posix_spawnattr_t is 336 bytes, sigset_t 128. The runtime ignores SIGPIPE, and whoever started it may ignore more.
        byte* attributes = stackalloc byte[512];
        Check(posix_spawnattr_init(attributes));
        byte* signals = stackalloc byte[128];
        new Span<byte>(signals, 128).Clear();
        Check(posix_spawnattr_setsigmask(attributes, signals));
        for (int signal = 1; signal < 32; signal++)
        {
            if (signal is not (SIGKILL or 19))
                signals[(signal - 1) / 8] |= (byte)(1 << ((signal - 1) % 8));
        }

        Check(posix_spawnattr_setsigdefault(attributes, signals));
        Check(posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
        int pid;
        int error = posix_spawnp(&pid, arguments.Pointer[0], actions, attributes, arguments.Pointer, environment.Pointer);
        _ = posix_spawn_file_actions_destroy(actions);
        _ = posix_spawnattr_destroy(attributes);
        Check(error);
        return pid;
    }

    private static IEnumerable<string> Variables()
    {
        // Short and the same everywhere; nothing of the runtime's own leaks into the victims.
        yield return $"PATH={Environment.GetEnvironmentVariable("PATH")}";
        yield return "LANG=C.UTF-8";
        if (Environment.GetEnvironmentVariable("STASIS") is string binary)
            yield return $"STASIS={binary}";
        if (Environment.GetEnvironmentVariable("STASIS_PROGRAMS_DIR") is string programs)
            yield return $"STASIS_PROGRAMS_DIR={programs}";
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
    private static partial int posix_spawn_file_actions_addclosefrom_np(byte* actions, int from);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_init(byte* attributes);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_destroy(byte* attributes);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_setsigmask(byte* attributes, byte* signals);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_setsigdefault(byte* attributes, byte* signals);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_setflags(byte* attributes, short flags);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_addopen(byte* actions, int descriptor, byte* path, int flags, uint mode);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_adddup2(byte* actions, int from, int to);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_addchdir_np(byte* actions, byte* path);

    [LibraryImport("libc")]
    private static partial int waitpid(int pid, int* status, int options);
}
