using System.Text.Json;

namespace Stasis.Bench;

/// <summary>What one system call in another process costs by tape, and by one ptrace injection each.</summary>
internal static class TapeBench
{
    private const int Rounds = 5;

    public static void Run(BenchOptions options, string scratch)
    {
        var tape = new Samples();
        var injected = new Samples();
        for (var round = 0; round < Rounds; round++)
        {
            var said = Child.Run([options.Stasis, "bench-tape", "--json"], scratch).OrFail("stasis bench-tape");
            using var json = JsonDocument.Parse(said.Output);
            tape.Add(json.RootElement.GetProperty("tapeNanosecondsPerCall").GetDouble());
            injected.Add(json.RootElement.GetProperty("injectedNanosecondsPerCall").GetDouble());
        }

        Console.WriteLine($"A call in another process, median of {Rounds}: by tape {tape.Median:F0} ns, by ptrace injection {injected.Median:F0} ns, ratio 1 : {injected.RatioTo(tape):F0}");
    }
}
