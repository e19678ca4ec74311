namespace Stasis.Bench;

/// <summary>How long `stasis --version` takes, beside /bin/true: the price of starting the tool at all.</summary>
internal static class StartupBench
{
    private const int Rounds = 41;

    public static void Run(BenchOptions options, string scratch)
    {
        var ours = new Samples();
        var limit = new Samples();
        for (var round = 0; round < Rounds; round++)
        {
            limit.Add(Child.Run(["/bin/true"], scratch).OrFail("/bin/true").Elapsed.TotalMilliseconds);
            ours.Add(Child.Run([options.Stasis, "--version"], scratch).OrFail("stasis --version").Elapsed.TotalMilliseconds);
        }

        Console.WriteLine($"Start-up, median of {Rounds}: stasis --version {ours.Median:F1} ms, /bin/true {limit.Median:F1} ms, ratio {ours.RatioTo(limit):F1}");
    }
}
