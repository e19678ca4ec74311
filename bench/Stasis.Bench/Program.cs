using System.Globalization;

namespace Stasis.Bench;

/// <summary>The bench: `./run bench [options]`. Everything is measured beside its limit, in the same run.</summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        CultureInfo.DefaultThreadCurrentCulture = CultureInfo.InvariantCulture;
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        if (BenchOptions.Parse(arguments) is not { } options)
        {
            Console.Error.WriteLine(BenchOptions.Usage);
            return 64;
        }

        try
        {
            if (!File.Exists(options.Stasis)) throw new BenchException($"there is no {options.Stasis}; ./run build makes it");
            return Cage.IsHere ? Measure(options) : Cage.Enter(arguments);
        }
        catch (BenchException e)
        {
            Console.Error.WriteLine($"bench: {e.Message}");
            return 1;
        }
    }

    /// <summary>Each part by itself: one that fails is reported, and the others are still measured.</summary>
    private static int Measure(BenchOptions options)
    {
        var work = Path.Combine(Repository.Root, "out", "bench", Guid.NewGuid().ToString("N"));
        var fast = Path.Combine("/dev/shm", "stasis-bench-" + Path.GetFileName(work));
        Directory.CreateDirectory(work);
        Directory.CreateDirectory(fast);
        try
        {
            WriteMachine();
            var failed = false;
            if (options.Only.Contains("startup")) failed |= !Try("start-up", () => StartupBench.Run(options, fast));
            if (options.Only.Contains("tape")) failed |= !Try("tape", () => TapeBench.Run(options, fast));
            if (options.Only.Contains("memory")) failed |= !MeasureMemory(options, work, fast);
            return failed ? 1 : 0;
        }
        finally
        {
            Directory.Delete(work, recursive: true);
            Directory.Delete(fast, recursive: true);
        }
    }

    private static bool MeasureMemory(BenchOptions options, string work, string fast)
    {
        var helper = Path.Combine(work, "memory");
        Child.Run(["gcc", "-O2", "-Wall", "-Werror", "-o", helper, Path.Combine(Repository.Root, "bench", "memory.c")], fast).OrFail("gcc");
        List<IProgramCheckpointer> tools = [new StasisCheckpointer(options.Stasis, fast)];
        if (options.Criu)
        {
            var criu = new CriuCheckpointer(fast);
            if (criu.WhyNot() is { } reason) Console.WriteLine($"No comparison with CRIU: {reason}.");
            else tools.Add(criu);
        }

        MemoryBench.WriteHeading();
        var succeeded = true;
        foreach (var place in options.Places)
        {
            foreach (var size in options.SizesInMebibytes)
            {
                if (AvailableMebibytes() < 4L * size)
                {
                    Console.WriteLine($"{size,7} {place,5} skipped: it takes {4 * size} MiB of free memory");
                    continue;
                }

                foreach (var tool in tools)
                {
                    succeeded &= Try(
                        $"{size} MiB, {place}, {tool.Name}",
                        () => new MemoryBench(tool, helper, fast).Run(size, options.RoundsFor(size), place, place == "tmpfs" ? fast : work));
                }
            }
        }

        WriteLegend();
        return succeeded;
    }

    private static bool Try(string what, Action measure)
    {
        try
        {
            measure();
            return true;
        }
        catch (Exception e) when (e is BenchException or IOException or System.Text.Json.JsonException or KeyNotFoundException)
        {
            Console.WriteLine($"{what}: FAILED: {e.Message}");
            return false;
        }
    }

    private static void WriteMachine()
    {
        var cpu = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim();
        var load = File.ReadAllText("/proc/loadavg").Split(' ')[0];
        Console.WriteLine($"{cpu ?? "unknown CPU"}, {Environment.ProcessorCount} CPUs, {AvailableMebibytes()} MiB free, Linux {File.ReadAllText("/proc/sys/kernel/osrelease").Trim()}, load {load} before the start");
    }

    private static void WriteLegend() => Console.WriteLine("""

        Times are medians in milliseconds of the whole command as its user waits for it, ratios are medians of the ratios
        round by round. Limits: one process writes the same bytes from its memory to a file there and calls fsync; one
        process reads them from such a file into fresh anonymous memory. Both find the file in the page cache. The freeze is
        compared with the limit of the checkpoint. "ok": at most 1.5 times the limit plus 20 ms. "One pass": until the program
        has compared all of its memory after the restart, so that nothing can be put off. Each restart is verified so.
        """);

    private static long AvailableMebibytes()
    {
        var line = File.ReadLines("/proc/meminfo").First(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
    }
}
