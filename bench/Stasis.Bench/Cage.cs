namespace Stasis.Bench;

/// <summary>
/// The bench runs in pid and mount namespaces of its own that end as a whole: a bench that is interrupted leaves nothing,
/// and the ids of the measured program are free whenever it is restarted.
/// </summary>
internal static class Cage
{
    private const string Inside = "STASIS_BENCH_IN_CAGE";

    public static bool IsHere => Environment.GetEnvironmentVariable(Inside) == "yes";

    /// <summary>Runs this same bench in a cage and returns its exit code.</summary>
    public static int Enter(IReadOnlyList<string> arguments)
    {
        Environment.SetEnvironmentVariable(Inside, "yes");
        List<string> command = ["timeout", "--signal=KILL", "3600", "unshare"];
        if (Native.geteuid() != 0) command.AddRange(["--user", "--map-root-user"]);
        // bash is the cage's init: it waits for restarted programs whose parent, the tool, has gone. Descriptors that whoever
        // started us left open would be part of the measured program; it closes them.
        const string Init = """for path in /proc/self/fd/*; do [[ ${path##*/} -le 2 ]] || eval "exec ${path##*/}>&-"; done; "$@"; exit $?""";
        command.AddRange(["--pid", "--mount", "--fork", "--mount-proc", "--kill-child", "bash", "-c", Init, "cage"]);
        command.Add(Environment.ProcessPath ?? "dotnet");
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") command.Add(Path.Combine(AppContext.BaseDirectory, "Stasis.Bench.dll"));
        command.AddRange(arguments);
        return Child.Start(command, null, null).Wait();
    }
}
