using System.Reflection;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Stasis.TestRunner;

/// <summary>
/// The tests of an assembly that are written with xunit: found and executed one by one by xunit's own framework; when, beside what and how often is for
/// <see cref="TestRun"/> to say.
/// </summary>
/// <remarks>
/// Traits tell what the runner must know: `[Trait("tier", "long")]`, and `[Trait("alone", "why")]`, on a class or a method.
/// </remarks>
public static class XunitTests
{
    /// <summary>All tests of an assembly. Company is that of <paramref name="company"/>, or alone where a trait says so.</summary>
    public static IReadOnlyList<Test> Of(Assembly assembly, Company company)
    {
        using XunitTestFramework framework = new(new Ignored());
        using ITestFrameworkDiscoverer discoverer = framework.GetDiscoverer(Reflector.Wrap(assembly));
        Found found = new();
        discoverer.Find(includeSourceInformation: false, found, new Options { ["xunit.discovery.PreEnumerateTheories"] = true });
        found.Complete.Wait();
        string prefix = assembly.GetName().Name + ".";
        return [.. found.Cases.Select(one => new Test(
            one.DisplayName.StartsWith(prefix, StringComparison.Ordinal) ? one.DisplayName[prefix.Length..] : one.DisplayName,
            Has(one, "tier", "long") ? Tier.Long : Tier.Gate,
            one.Traits.ContainsKey("alone") ? Company.Alone : company,
            () => Execute(assembly, one)))];
    }

    private static bool Has(ITestCase one, string trait, string value) =>
        one.Traits.TryGetValue(trait, out List<string>? values) && values.Contains(value);

    private static void Execute(Assembly assembly, ITestCase one)
    {
        using XunitTestFramework framework = new(new Ignored());
        using ITestFrameworkExecutor executor = framework.GetExecutor(assembly.GetName());
        Executed executed = new();
        executor.RunTests([one], executed, new Options { ["xunit.execution.DisableParallelization"] = true });
        executed.Complete.Wait();
        if (executed.Skipped is string reason)
            throw new TestSkippedException(reason);
        if (executed.Failures.Count > 0)
            throw new TestFailedException(string.Join('\n', executed.Failures));
        if (executed.Count == 0)
            throw new TestFailedException("xunit executed nothing of it");
    }

    private sealed class Options : Dictionary<string, object>, ITestFrameworkDiscoveryOptions, ITestFrameworkExecutionOptions
    {
        public TValue GetValue<TValue>(string name) => TryGetValue(name, out object? value) ? (TValue)value : default!;

        public void SetValue<TValue>(string name, TValue value) => this[name] = value!;
    }

    private sealed class Ignored : IMessageSink
    {
        public bool OnMessage(IMessageSinkMessage message) => true;
    }

    private sealed class Found : IMessageSink
    {
        public List<ITestCase> Cases { get; } = [];

        public ManualResetEventSlim Complete { get; } = new();

        public bool OnMessage(IMessageSinkMessage message)
        {
            if (message is ITestCaseDiscoveryMessage discovered)
                Cases.Add(discovered.TestCase);
            if (message is IDiscoveryCompleteMessage)
                Complete.Set();
            return true;
        }
    }

    private sealed class Executed : IMessageSink
    {
        public List<string> Failures { get; } = [];

        public string? Skipped { get; private set; }

        public int Count { get; private set; }

        public ManualResetEventSlim Complete { get; } = new();

        public bool OnMessage(IMessageSinkMessage message)
        {
            switch (message)
            {
                case ITestSkipped skipped:
                    Skipped = skipped.Reason;
                    break;
                case ITestFailed failed when failed.ExceptionTypes[0] == typeof(TestSkippedException).FullName:
                    Skipped = failed.Messages[0];
                    break;
                case ITestPassed:
                    Count++;
                    break;
                // Failed tests, and what fails around a test: its class, its collection, its assembly.
                case IFailureInformation failure:
                    Count++;
                    Failures.Add(Text(failure));
                    break;
                case ITestAssemblyFinished:
                    Complete.Set();
                    break;
            }

            return true;
        }

        private static string Text(IFailureInformation failure) =>
            // What a cage said is the log; a stack trace would only push it out of sight.
            failure.ExceptionTypes[0] == typeof(TestFailedException).FullName
                ? failure.Messages[0]
                : string.Join('\n', failure.Messages.Zip(failure.StackTraces, (message, trace) => $"{message}\n{trace}"));
    }
}
