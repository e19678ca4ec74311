namespace Stasis.State;

/// <summary>
/// One thing that can't be carried or can't be rebuilt here: whose it is (a process, by pid and name), which object (a
/// descriptor, a mapping; empty when it is the process itself), why, and what the user can do.
/// </summary>
public sealed record Problem(int Pid, string Command, string Object, string Why, string Advice)
{
    public override string ToString()
    {
        string whose = Pid != 0 ? $"{Command} (pid {Pid})" : "this host";
        string what = Object.Length > 0 ? $", {Object}" : "";
        return $"{whose}{what}: {Why}; {Advice}";
    }
}

/// <summary>Collects every problem before anything is touched, so that the user hears of all at once.</summary>
public sealed class ProblemList
{
    private readonly List<Problem> _problems = [];
    public IReadOnlyList<Problem> All => _problems;
    public bool Any => _problems.Count > 0;

    /// <summary>Whether there are problems, and all of them are of the kind that passes by itself in a moment.</summary>
    public bool OnlyPassing => Any && !_problems.Exists(_lasting.Contains);
    private readonly HashSet<Problem> _lasting = [];

    public void Add(int pid, string command, string what, string why, string advice)
    {
        _lasting.Add(Put(pid, command, what, why, advice));
    }

    /// <summary>A problem that nearly always passes by itself within moments.</summary>
    public void AddPassing(int pid, string command, string what, string why, string advice) => Put(pid, command, what, why, advice);

    /// <summary>Forgets all others.</summary>
    public void Keep(Func<Problem, bool> which) => _problems.RemoveAll(problem => !which(problem));

    private Problem Put(int pid, string command, string what, string why, string advice)
    {
        var problem = new Problem(pid, command, what, why, advice);
        if (!_problems.Contains(problem)) _problems.Add(problem);
        return problem;
    }
}
