using System.Globalization;
using Stasis.Engine.Restart;
using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.Engine;

/// <summary>Starts a command in a pid and mount namespace of its own, so that its ids are free at every restart.</summary>
internal sealed class RunJourney(RunRequest request)
{
    private const ulong ArenaBase = 0x10000000;

    public int Run()
    {
        string program = Find(request.Command[0]) ?? throw new StasisFailure(FailureKind.Failed, $"there is no command {request.Command[0]}");
        var trace = new RestartTrace();
        try
        {
            BlankTask maker = BlankTask.Spawn(new Arena(ArenaBase));
            trace.Made(maker.Tid);
            BlankTask init = NamespaceInit.Make(maker, trace);
            var birth = new Tape();
            CloneCall.Add(birth, "clone3 of the command", 0, Signals.SIGCHLD, 0);
            init.Run(birth);
            BlankTask child = init.TakeBorn(thread: false);
            trace.Made(child.Tid);
            maker.EndBy(0);
            var tape = new Tape();
            tape.Call($"execve of {program}", Syscall.execve, tape.Text(program), Vector(tape, request.Command), Vector(tape, Environment()));
            Ptrace.SetOptions(child.Tid, 0);
            Ptrace.SetOptions(init.Tid, 0);
            if (request.PidFile is { } file) File.WriteAllText(file, child.Tid.ToString(CultureInfo.InvariantCulture) + "\n");
            init.BecomeInit(2);
            child.RunAndLetGo(tape, 0);
            return Foreground.WaitFor(init.Tid, child.Tid);
        }
        catch
        {
            trace.KillAll();
            throw;
        }
    }

    private static TapeData Vector(Tape tape, IReadOnlyList<string> strings)
    {
        TapeData vector = tape.Reserve((strings.Count + 1) * 8);
        for (int i = 0; i < strings.Count; i++) tape.PointAt(vector, i * 8, tape.Text(strings[i]));
        return vector;
    }

    private static List<string> Environment()
    {
        List<string> variables = [];
        foreach (System.Collections.DictionaryEntry entry in System.Environment.GetEnvironmentVariables()) variables.Add($"{entry.Key}={entry.Value}");
        return variables;
    }

    private static string? Find(string command)
    {
        const int X_OK = 1;
        if (command.Contains('/')) return Files.Access(command, X_OK).Failed ? null : command;
        foreach (string directory in (System.Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin").Split(':'))
            if (!Files.Access($"{directory}/{command}", X_OK).Failed && Files.Status($"{directory}/{command}").Status.Type == FileType.Regular) return $"{directory}/{command}";
        return null;
    }
}
