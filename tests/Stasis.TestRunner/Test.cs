namespace Stasis.TestRunner;

/// <summary>When a test is run: with every change, or by hand.</summary>
public enum Tier
{
    /// <summary>Short; `./run test` runs all of these.</summary>
    Gate,

    /// <summary>`./run test long`.</summary>
    Long,
}

/// <summary>What a test may run beside.</summary>
public enum Company
{
    /// <summary>In this process, before anything is started in a cage.</summary>
    Unit,

    /// <summary>In a cage, beside one other.</summary>
    Cage,

    /// <summary>In a cage, beside nobody: it takes much memory, or all of the machine.</summary>
    Alone,
}

/// <summary>One test. The body returns if it passes, throws <see cref="TestSkippedException"/> if there is nothing to test here, and anything else if it fails.</summary>
public sealed record Test(string Name, Tier Tier, Company Company, Action Body);

/// <summary>A check that was made before the tests, by another program: it passed if it has no log.</summary>
public sealed record CheckMade(string Name, string? FailureLog);

/// <summary>There is nothing to test here, for this reason.</summary>
public sealed class TestSkippedException(string reason) : Exception(reason);

/// <summary>A test failed; the message is its log.</summary>
public sealed class TestFailedException(string log) : Exception(log);
