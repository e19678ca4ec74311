using Stasis.Cli.Show;
using Stasis.Engine;

namespace Stasis.Cli.Commands;

internal delegate RestartReport RestartJourney(RestartRequest request, Action<RestartReport>? started);

/// <summary>What the verbs set going. The engine's own in the binary; a test of the command line puts its own here.</summary>
internal sealed record Journeys(Func<CheckpointRequest, CheckpointReport> Checkpoint, RestartJourney Restart, Func<int, CheckReport> Check,
    Func<string, ImageView> Show, Func<RunRequest, int> Run)
{
    public static readonly Journeys OfTheEngine = new(StasisEngine.Checkpoint, StasisEngine.Restart, StasisEngine.Check, ImageReading.Read, StasisEngine.Run);
}
