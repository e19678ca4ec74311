using System.Diagnostics;

namespace Stasis.TestRunner;

/// <summary>
/// Runs tests in a shuffled order, runs those that failed once more, alone, and says what came of it: flaky, known or red.
/// </summary>
/// <remarks>The rules are those of CONTRIBUTING.md. What it returns is the exit code: 0 only if something ran and nothing is red.</remarks>
public sealed class TestRun(IReadOnlyList<Test> tests, KnownFailures known, TextWriter output)
{
    /// <summary>Where so many fail, the product is broken, and running them again tells nothing more.</summary>
    public const int MostRunAgain = 25;

    private readonly List<(Test Test, string Log)> _failedFirst = [];
    private readonly List<(string Name, string Log)> _red = [];
    private readonly List<(string Name, string Log)> _flaky = [];
    private readonly List<(string Name, string Reason)> _skipped = [];
    private readonly List<string> _known = [];
    private readonly List<string> _passesNow = [];
    private readonly Lock _lock = new();
    private int _passed;

    public int Seed { get; init; } = Environment.TickCount & 0xffffff;

    public int Jobs { get; init; } = 2;

    /// <summary>The last resort: a test's cage has a limit of its own, far below this.</summary>
    public TimeSpan Limit { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>What was checked before the tests.</summary>
    public IReadOnlyList<CheckMade> Checks { get; init; } = [];

    /// <summary>Where the logs of first failures are kept; nowhere if null.</summary>
    public string? LogDirectory { get; init; }

    /// <summary>Whether all that is known was to be run, so that a listed name nobody has is a mistake in the list.</summary>
    public IReadOnlySet<string>? AllNames { get; init; }

    public int Execute()
    {
        output.WriteLine($"tests: {tests.Count}, {Jobs} at a time, seed {Seed}");
        foreach (CheckMade check in Checks)
        {
            if (check.FailureLog is null)
                _passed++;
            else
                _red.Add((check.Name, check.FailureLog));
        }

        Test[] order = [.. tests];
        new Random(Seed).Shuffle(order);
        InParallel(order.Where(test => test.Company == Company.Unit), Jobs);
        InParallel(order.Where(test => test.Company == Company.Cage), Jobs);
        InParallel(order.Where(test => test.Company == Company.Alone), 1);
        RunFailedOnceMore();
        CheckList();
        return Summary();
    }

    private void InParallel(IEnumerable<Test> some, int jobs)
    {
        Queue<Test> waiting = new(some);
        Thread[] workers = [.. Enumerable.Range(0, jobs).Select(_ => new Thread(Work))];
        foreach (Thread worker in workers)
            worker.Start();
        foreach (Thread worker in workers)
            worker.Join();

        void Work()
        {
            while (true)
            {
                Test? test;
                lock (_lock)
                {
                    if (!waiting.TryDequeue(out test))
                        return;
                }

                Count(test, Run(test));
            }
        }
    }

    private void Count(Test test, Outcome outcome)
    {
        lock (_lock)
        {
            if (test.Company != Company.Unit || outcome.Kind == Kind.Failed)
                output.WriteLine($"{outcome.Kind switch { Kind.Passed => "ok", Kind.Skipped => "skipped", _ => "failed" }} {test.Name} ({outcome.Seconds:0.0} s)");
            switch (outcome.Kind)
            {
                case Kind.Passed:
                    _passed++;
                    if (known.ReasonOf(test.Name) is not null)
                        _passesNow.Add(test.Name);
                    break;
                case Kind.Skipped:
                    _skipped.Add((test.Name, outcome.Log));
                    break;
                case Kind.Failed:
                    _failedFirst.Add((test, outcome.Log));
                    KeepLog(test.Name, outcome.Log);
                    break;
            }
        }
    }

    private void RunFailedOnceMore()
    {
        if (_failedFirst.Count > MostRunAgain)
            output.WriteLine($"{_failedFirst.Count} tests failed: too many to run each of them again");
        foreach ((Test test, string log) in _failedFirst)
        {
            Outcome again = _failedFirst.Count > MostRunAgain ? new Outcome(Kind.Failed, log, 0) : Run(test);
            output.WriteLine($"once more, alone: {test.Name} {(again.Kind == Kind.Failed ? "failed" : "passed")}");
            if (again.Kind != Kind.Failed)
            {
                _passed++;
                _flaky.Add((test.Name, log));
            }
            else if (known.ReasonOf(test.Name) is string reason)
            {
                _known.Add($"{test.Name}: {reason}");
            }
            else
            {
                _red.Add((test.Name, again.Log));
            }
        }
    }

    private void CheckList()
    {
        foreach (string name in known.Names)
        {
            if (AllNames is not null && !AllNames.Contains(name))
                _red.Add((name, "tests/known.tsv lists this test, and there is none of this name"));
        }
    }

    private Outcome Run(Test test)
    {
        Outcome outcome = new(Kind.Failed, $"it did not end within {Limit.TotalSeconds:0} s", 0);
        long began = Stopwatch.GetTimestamp();
        Thread thread = new(() => outcome = Body(test)) { IsBackground = true };
        thread.Start();
        // One that does not end is left behind: it runs in this process, which ends with the run.
        thread.Join(Limit);
        return outcome with { Seconds = Stopwatch.GetElapsedTime(began).TotalSeconds };
    }

    private static Outcome Body(Test test)
    {
        try
        {
            test.Body();
            return new Outcome(Kind.Passed, "", 0);
        }
        catch (TestSkippedException skipped)
        {
            return new Outcome(Kind.Skipped, skipped.Message, 0);
        }
        catch (TestFailedException failed)
        {
            return new Outcome(Kind.Failed, failed.Message, 0);
        }
        catch (Exception exception)
        {
            return new Outcome(Kind.Failed, exception.ToString(), 0);
        }
    }

    private void KeepLog(string name, string log)
    {
        if (LogDirectory is null)
            return;
        Directory.CreateDirectory(LogDirectory);
        File.WriteAllText(LogOf(name), log + "\n");
    }

    private string LogOf(string name) =>
        Path.Combine(LogDirectory!, string.Concat(name.Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' ? letter : '_')) + ".log");

    private int Summary()
    {
        output.WriteLine();
        Group("failed", _red.Select(one => $"{one.Name}\n{LastLines(one.Log)}\n    repeat: ./run test '{Filter(one.Name)}'"));
        Group("flaky (failed, and passed when run once more, alone: a bug report)",
            _flaky.Select(one => $"{one.Name}{(LogDirectory is null ? "" : $"; the first failure: {LogOf(one.Name)}")}\n{LastLines(one.Log)}"));
        Group("known to fail (tests/known.tsv)", _known);
        Group("listed in tests/known.tsv, but passes now", _passesNow);
        Group("skipped", _skipped.Select(one => $"{one.Name}: {one.Reason}"));
        int ran = _passed + _red.Count + _known.Count;
        if (tests.Count == 0 || ran == 0)
            output.WriteLine("no test was run");
        int failed = _red.Count + (tests.Count == 0 || ran == 0 ? 1 : 0);
        output.WriteLine($"{_passed} passed, {failed} failed, {_skipped.Count + _known.Count} skipped");
        output.Flush();
        return failed == 0 ? 0 : 1;
    }

    private void Group(string title, IEnumerable<string> lines)
    {
        string[] all = [.. lines.Order(StringComparer.Ordinal)];
        if (all.Length == 0)
            return;
        output.WriteLine($"{title}:");
        foreach (string line in all)
            output.WriteLine($"  {line}");
        output.WriteLine();
    }

    // A filter is a part of the name that needs no quotes of its own.
    private static string Filter(string name) => name.Replace("'", "", StringComparison.Ordinal);

    private static string LastLines(string log) =>
        string.Join('\n', log.TrimEnd().Split('\n').TakeLast(15).Select(line => "    | " + (line.Length > 300 ? line[..300] : line)));

    private enum Kind
    {
        Passed,
        Failed,
        Skipped,
    }

    private sealed record Outcome(Kind Kind, string Log, double Seconds);
}
