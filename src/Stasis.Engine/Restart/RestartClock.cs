using Stasis.Image;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State;

namespace Stasis.Engine.Restart;

/// <summary>
/// The clocks of a restarted tree. To go on from where they were they take a time namespace, which the tree is born into; whatever
/// we arm for it before is armed after this was made, so that nothing expires early by the tree's own clock.
/// </summary>
internal sealed class RestartClock
{
    private const int CAP_SYS_TIME = 25, CAP_SYS_ADMIN = 21, CLONE_NEWTIME = 0x80;
    private readonly ClockOffsets? _offsets;

    public RestartClock(Manifest manifest, ClockPolicy policy)
    {
        Problem = policy == ClockPolicy.Continue ? Missing() : null;
        ClockReading now = ClockReading.Now(default);
        if (policy != ClockPolicy.Real && Missing() is null)
            _offsets = new ClockOffsets(manifest.MonotonicNanoseconds - now.Monotonic, manifest.BoottimeNanoseconds - now.Boottime);
        else
            Shift = new ClockShift(Math.Max(0, now.Realtime - manifest.RealtimeNanoseconds));
    }

    /// <summary>Why the clocks can't go on although that was asked for; else null.</summary>
    public string? Problem { get; }
    public bool GoesOn => _offsets is not null;
    public ClockShift Shift { get; }

    /// <summary>Whatever the maker gives birth to from now on lives by these clocks.</summary>
    public void Prepare(BlankTask maker)
    {
        if (_offsets is not { } offsets) return;
        var tape = new Tape();
        tape.Call("unshare(CLONE_NEWTIME)", Syscall.unshare, CLONE_NEWTIME);
        maker.Run(tape);
        offsets.SetForChildrenOf(maker.Tid).OrThrow("write of timens_offsets", maker.Tracee.Whose);
    }

    private static string? Missing()
    {
        if (Files.Access("/proc/self/ns/time", 0).Failed) return "this kernel has no time namespaces";
        ulong have = ProcStatus.Read("/proc/self")?.Hex("CapEff") ?? 0;
        return (have >> CAP_SYS_TIME & have >> CAP_SYS_ADMIN & 1) == 0 ? "a time namespace takes CAP_SYS_TIME and CAP_SYS_ADMIN" : null;
    }
}
