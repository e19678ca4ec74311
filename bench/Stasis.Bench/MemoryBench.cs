using System.Diagnostics;
using System.Globalization;

namespace Stasis.Bench;

/// <summary>
/// Checkpoint, freeze, restart and image size of a program that holds incompressible memory, each beside the limit that
/// was measured in the same round: its bytes written to a file there and fsync'd, and read from there into fresh memory.
/// </summary>
internal sealed class MemoryBench(IProgramCheckpointer tool, string helper, string scratch)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>The aim of both directions: at most 1.5 times the limit, plus 20 ms.</summary>
    private static bool MeetsAim(Samples time, Samples limit) => time.Median <= 1.5 * limit.Median + 20;

    public static void WriteHeading()
    {
        Console.WriteLine();
        Console.WriteLine("                          | checkpoint             |  | freeze         | restart                |  | restart + one pass     | image");
        Console.WriteLine(" memory place tool rounds |      ms   limit  ratio |ok|     ms   ratio |      ms   limit  ratio |ok|      ms   limit  ratio |      MiB ratio");
    }

    /// <param name="place">How the directory is called in the table.</param>
    /// <param name="directory">Where images and the limit's file are written.</param>
    public void Run(int mebibytes, int rounds, string place, string directory)
    {
        var bytes = (long)mebibytes << 20;
        Samples checkpoint = new(), freeze = new(), restart = new(), pass = new(), image = new();
        Samples writing = new(), reading = new(), readingAndPass = new(), size = new();
        for (var round = 0; round < rounds; round++)
        {
            var word = Path.Combine(scratch, "word");
            File.Delete(word);
            var program = Child.Start([helper, "hold", $"{bytes}", word], "/dev/null", "/dev/null", ownSession: true);
            try
            {
                Await(word, "ready");
                Round(program, word, limitFirst: round % 2 == 0);
            }
            finally
            {
                // The id is still ours here, restarted or not: nothing else is started in this cage meanwhile.
                Child.Signal(program.Pid, Native.SIGKILL);
            }
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{mebibytes,7} {place,5} {tool.Name,-6} {rounds,4} | {checkpoint.Median,7:F1} {writing.Median,7:F1} {checkpoint.RatioTo(writing),6:F2} |{Aim(checkpoint, writing)}| {freeze.Median,6:F1} {freeze.RatioTo(writing),7:F2} | {restart.Median,7:F1} {reading.Median,7:F1} {restart.RatioTo(reading),6:F2} |{Aim(restart, reading)}| {pass.Median,7:F1} {readingAndPass.Median,7:F1} {pass.RatioTo(readingAndPass),6:F2} | {image.Median,8:F1} {image.RatioTo(size),5:F3}"));

        // Limit and tool take turns in going first, so that neither always finds the caches of the other.
        void Round(Child program, string word, bool limitFirst)
        {
            var file = Path.Combine(directory, "limit");
            var images = Path.Combine(directory, "image");
            if (limitFirst) writing.Add(LimitOfWriting(bytes, file));
            var figures = tool.Checkpoint(program.Pid, images);
            checkpoint.Add(figures.Total.TotalMilliseconds);
            if (figures.FreezeMilliseconds is { } milliseconds) freeze.Add(milliseconds);
            if (!limitFirst) writing.Add(LimitOfWriting(bytes, file));
            image.Add(SizeOf(images) / 1048576.0);
            size.Add(mebibytes);

            Child.Signal(program.Pid, Native.SIGKILL);
            program.Wait();

            if (limitFirst) LimitOfReading(bytes, file, reading, readingAndPass);
            var began = Stopwatch.GetTimestamp();
            restart.Add(tool.Restart(images).TotalMilliseconds);
            Look(program.Pid, word);
            pass.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            End(program.Pid);
            if (!limitFirst) LimitOfReading(bytes, file, reading, readingAndPass);

            Directory.Delete(images, recursive: true);
            File.Delete(file);
        }
    }

    private static string Aim(Samples time, Samples limit) => MeetsAim(time, limit) ? "ok" : "no";

    private double LimitOfWriting(long bytes, string file) =>
        Nanoseconds(Child.Run([helper, "write", $"{bytes}", file], scratch).OrFail("memory write"))[0] / 1e6;

    private void LimitOfReading(long bytes, string file, Samples reading, Samples readingAndPass)
    {
        var nanoseconds = Nanoseconds(Child.Run([helper, "read", $"{bytes}", file], scratch).OrFail("memory read"));
        reading.Add(nanoseconds[0] / 1e6);
        readingAndPass.Add(nanoseconds[1] / 1e6);
    }

    private static double[] Nanoseconds(Finished said) =>
        [.. said.Output.Trim().Split(' ').Select(word => double.Parse(word, CultureInfo.InvariantCulture))];

    /// <summary>Has the restarted program compare all of its memory: a restart that is fast and wrong is no restart.</summary>
    private static void Look(int pid, string word)
    {
        File.Delete(word);
        if (!Child.Signal(pid, Native.SIGUSR1)) throw new BenchException($"the restarted program {pid} is not there");
        Await(word, "right");
    }

    private static void Await(string path, string expected)
    {
        var began = Stopwatch.GetTimestamp();
        while (!File.Exists(path))
        {
            if (Stopwatch.GetElapsedTime(began) > Patience) throw new BenchException($"the program did not say \"{expected}\" within {Patience.TotalSeconds:F0} seconds");
            Thread.Sleep(1);
        }

        var said = File.ReadAllText(path);
        if (said != expected) throw new BenchException($"the program said \"{said}\" where it should say \"{expected}\"");
    }

    /// <summary>Ends the restarted program, which is no child of ours: the cage's init waits for it.</summary>
    private static void End(int pid)
    {
        Child.Signal(pid, Native.SIGKILL);
        var began = Stopwatch.GetTimestamp();
        while (Directory.Exists($"/proc/{pid}"))
        {
            if (Stopwatch.GetElapsedTime(began) > Patience) throw new BenchException($"process {pid} does not end");
            Thread.Sleep(1);
        }
    }

    private static long SizeOf(string directory) =>
        new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
}
