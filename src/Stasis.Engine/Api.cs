using Stasis.Engine.Restart;
using Stasis.Image;
using Stasis.Linux;
using Stasis.Remote;
using Stasis.State.Descriptors;

namespace Stasis.Engine;

/// <summary>The journeys that the command line offers. Each throws <see cref="Refused"/> or <see cref="StasisFailure"/>.</summary>
public static class StasisEngine
{
    public const string Version = "0.1.0";

    public static CheckReport Check(int pid) => Translate(() => CheckJourney.Run(pid));
    public static CheckpointReport Checkpoint(CheckpointRequest request) => Translate(() => CheckpointJourney.For(request).Run());

    /// <param name="started">Told the root's pid as soon as the tree runs (the pid file is written by then).</param>
    public static RestartReport Restart(RestartRequest request, Action<RestartReport>? started = null) => Translate(() => new RestartJourney(request).Run(started));

    /// <summary>Measures tapes; for the benchmarks.</summary>
    public static TapeBenchReport BenchTape() => Translate(TapeBench.Run);

    /// <summary>Runs a command in namespaces of its own; its exit status as a shell tells it.</summary>
    public static int Run(RunRequest request) => Translate(() => new RunJourney(request).Run());

    // Below the engine failures have their own forms (STYLE: the kernel refused, the target ended, the image is bad); people get one.
    private static T Translate<T>(Func<T> journey)
    {
        try
        {
            return journey();
        }
        catch (CaptureRefused refused) { throw new Refused("the program can't be checkpointed now", [refused.Problem]); }
        catch (BadImage bad) { throw new StasisFailure(FailureKind.BadImage, bad.Message); }
        catch (TargetGone gone) { throw new StasisFailure(FailureKind.Failed, $"{gone.Message}; nothing was changed"); }
        catch (TargetUnruly unruly) { throw new StasisFailure(FailureKind.Failed, unruly.Message); }
        catch (KernelRefusal refusal) when (refusal.Errno is Errno.EPERM or Errno.EACCES)
        {
            throw new StasisFailure(FailureKind.NotPermitted, $"{refusal.Message}: run stasis as root, or with CAP_CHECKPOINT_RESTORE, CAP_SYS_PTRACE and CAP_SYS_ADMIN");
        }
        catch (KernelRefusal refusal) { throw new StasisFailure(FailureKind.Failed, Explain(refusal)); }
    }

    private static string Explain(KernelRefusal refusal) => refusal.Errno switch
    {
        Errno.ENOSPC or Errno.EDQUOT => $"{refusal.Message}: there is no room left on the disk; free some, or choose another place",
        Errno.EEXIST => $"{refusal.Message}: it exists already; choose another name, or remove it",
        Errno.ENOMEM => $"{refusal.Message}: there is not enough memory",
        _ => refusal.Message,
    };
}
