using System.Reflection;
using Stasis.TestRunner;

// Stasis.TestRunner [long | NAME...] [--seed N] [--jobs N] [--passed CHECK] [--failed CHECK=LOGFILE]
// No words: the gate. `long`: the other tier. Else all tests, of any tier, whose name contains one of the words, with what they said.
List<string> words = [];
List<CheckMade> checks = [];
int? seed = null;
int jobs = 2;
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--seed":
            seed = int.Parse(args[++i]);
            break;
        case "--jobs":
            jobs = int.Parse(args[++i]);
            break;
        case "--passed":
            checks.Add(new CheckMade(args[++i], null));
            break;
        case "--failed":
            string[] parts = args[++i].Split('=', 2);
            checks.Add(new CheckMade(parts[0], File.ReadAllText(parts[1])));
            break;
        default:
            words.Add(args[i]);
            break;
    }
}

Test[] all =
[
    .. XunitTests.Of(Load("Stasis.UnitTests"), Company.Unit),
    .. XunitTests.Of(Load("Stasis.ProcessTests"), Company.Cage),
];
bool named = words.Count > 0 && words is not ["long"];
Tier tier = words is ["long"] ? Tier.Long : Tier.Gate;
Test[] chosen = [.. all.Where(test => named ? words.Exists(word => test.Name.Contains(word, StringComparison.OrdinalIgnoreCase)) : test.Tier == tier)];
if (named)
    Cage.OutputOfPassed = Console.Out;
TestRun run = new(chosen, KnownFailures.Parse(File.ReadAllText(Path.Combine(Cage.Home, "tests/known.tsv"))), Console.Out)
{
    Jobs = jobs,
    Seed = seed ?? Environment.TickCount & 0xffffff,
    Checks = checks,
    LogDirectory = Path.Combine(Cage.Home, "out/test-logs"),
    AllNames = all.Select(test => test.Name).ToHashSet(),
};
int code = run.Execute();
// Threads of tests that hang must not keep the process.
Environment.Exit(code);

static Assembly Load(string project) =>
    Assembly.LoadFrom(Path.Combine(Cage.Home, "tests", project, "bin/Release/net10.0", project + ".dll"));
