using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stasis.Linux;

namespace Stasis.Engine.Hooks;

/// <summary>What a hook reads on its standard input, as one JSON document.</summary>
/// <param name="Journey">checkpoint or restart.</param>
/// <param name="Point">Where on the journey; also the hook's first argument.</param>
/// <param name="Pid">The root process; 0 before a restart has made it.</param>
/// <param name="Processes">Ids as the hook sees them; empty before they are known.</param>
internal sealed record HookMessage(string Journey, string Point, string Image, int Pid, IReadOnlyList<HookProcess> Processes);
internal sealed record HookProcess(int Pid, string Command);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(HookMessage))]
internal sealed partial class HookJson : JsonSerializerContext;

/// <summary>
/// Programs of the user that are called at named points of a journey (--hook). One that fails, or takes longer than a minute, stops
/// the journey, as any failure there does; after the last point nothing can be stopped, and the failure is told.
/// </summary>
internal sealed class Hooks(string journey, string image, IReadOnlyList<string> programs)
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    public bool Any => programs.Count > 0;

    public void Call(string point, int pid, IEnumerable<HookProcess> processes)
    {
        if (!Any) return;
        byte[] message = JsonSerializer.SerializeToUtf8Bytes(new HookMessage(journey, point, Path.GetFullPath(image), pid, [.. processes]), HookJson.Default.HookMessage);
        foreach (string program in programs) Call(program, point, message);
    }

    /// <summary>The last point, behind which nothing can be stopped: a failure says what has been reached.</summary>
    public void CallLast(string point, int pid, IEnumerable<HookProcess> processes, string reached)
    {
        try
        {
            Call(point, pid, processes);
        }
        catch (StasisFailure failure)
        {
            throw new StasisFailure(failure.Kind, $"{failure.Message}; {reached}");
        }
    }

    private static void Call(string program, string point, byte[] message)
    {
        using var input = new DescriptorHandle(Files.MemoryFile("stasis-hook", 1 /* MFD_CLOEXEC */).OrThrowDescriptor("memfd_create"));
        Files.WriteAllAt(input.Number, message, 0).OrThrow("write of a hook's input");
        List<string> environment = [];
        foreach (System.Collections.DictionaryEntry entry in Environment.GetEnvironmentVariables()) environment.Add($"{entry.Key}={entry.Value}");
        // Its output is for people; ours is one document.
        SysResult started = Spawn.Start(program, [program, point], environment, input: input.Number, output: 2);
        if (started.Failed) throw new StasisFailure(FailureKind.Failed, $"the hook {program} can't be started ({started.Errno})");
        (SysResult ended, WaitStatus? status) = Wait.For(started.Descriptor, s_limit);
        if (ended.Errno == Errno.ETIMEDOUT)
        {
            Signals.Send(started.Descriptor, Signals.SIGKILL);
            Wait.For(started.Descriptor, TimeSpan.FromSeconds(5));
            throw new StasisFailure(FailureKind.Failed, $"the hook {program} did not end within a minute at point {point}, and was killed");
        }
        ended.OrThrow("wait4 for a hook");
        if (status is not { Raw: 0 }) throw new StasisFailure(FailureKind.Failed, $"the hook {program} {How(status!.Value)} at point {point}");
    }

    private static string How(WaitStatus status) => status.Exited
        ? string.Create(CultureInfo.InvariantCulture, $"ended with {status.ExitCode}")
        : $"was ended by {Signals.Name(status.TerminationSignal)}";
}
