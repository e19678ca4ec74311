namespace Stasis.Remote;

/// <summary>The seccomp filters of a traced task that its tracer may neither set aside nor read.</summary>
public interface ICallJudge
{
    /// <summary>The one at this place, the one installed first first; null behind the last.</summary>
    (byte[] Program, ulong Flags)? Filter(int place);

    /// <summary>Whether the task may make a call (x86-64).</summary>
    bool Allows(int number, ulong instructionPointer, ReadOnlySpan<ulong> arguments);

    /// <summary>Whether a question that the task may not ask fails without harm, and would have told of nothing.</summary>
    bool NeedNotBeAsked(int number, ulong instructionPointer, ReadOnlySpan<ulong> arguments);

    /// <summary>Whether it may leave the entry of a call without making it, which filters judge as call -1.</summary>
    bool AllowsSkipping(ulong instructionPointer, ReadOnlySpan<ulong> arguments);
}
