using System.Text.Json;

namespace Stasis.Bench;

internal sealed class StasisCheckpointer(string stasis, string scratch) : IProgramCheckpointer
{
    public string Name => "stasis";

    public CheckpointFigures Checkpoint(int pid, string image)
    {
        var said = Child.Run([stasis, "checkpoint", $"{pid}", "-o", image, "--leave-running", "--json"], scratch).OrFail("stasis checkpoint");
        using var json = JsonDocument.Parse(said.Output);
        return new CheckpointFigures(said.Elapsed, json.RootElement.GetProperty("freezeMilliseconds").GetDouble());
    }

    public TimeSpan Restart(string image) => Child.Run([stasis, "restart", image, "--detach"], scratch).OrFail("stasis restart").Elapsed;
}
