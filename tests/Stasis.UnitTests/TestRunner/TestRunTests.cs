using Stasis.TestRunner;

namespace Stasis.UnitTests.TestRunner;

/// <summary>The runner itself: what is red, what is not, and what it says.</summary>
public sealed class TestRunTests
{
    [Fact]
    public void All_that_pass_are_green()
    {
        (int code, string said) = Run([Passing("one"), Passing("two")]);
        Assert.Equal(0, code);
        Assert.Equal("2 passed, 0 failed, 0 skipped", LastLine(said));
    }

    [Fact]
    public void A_test_that_fails_twice_is_red_and_shows_the_end_of_its_log()
    {
        string log = string.Join('\n', Enumerable.Range(1, 40).Select(i => $"line {i}."));
        (int code, string said) = Run([Passing("one"), Failing("two", log)]);
        Assert.Equal(1, code);
        Assert.Equal("1 passed, 1 failed, 0 skipped", LastLine(said));
        Assert.Contains("| line 40.\n", said);
        Assert.Contains("| line 26.\n", said);
        Assert.DoesNotContain("| line 25.\n", said);
        Assert.Contains("repeat: ./run test 'two'", said);
    }

    [Fact]
    public void A_test_that_fails_once_is_flaky_and_green()
    {
        int runs = 0;
        Test flaky = new("shaky", Tier.Gate, Company.Cage, () =>
        {
            if (runs++ == 0)
                throw new TestFailedException("the first time");
        });
        (int code, string said) = Run([Passing("one"), flaky]);
        Assert.Equal(0, code);
        Assert.Equal(2, runs);
        Assert.Equal("2 passed, 0 failed, 0 skipped", LastLine(said));
        Assert.Contains("flaky", said);
        Assert.Contains("| the first time", said);
    }

    [Fact]
    public void A_listed_test_that_fails_is_skipped_with_its_reason()
    {
        (int code, string said) = Run([Passing("one"), Failing("two", "bad")], "two\tthe kernel is strange\tabc123\n");
        Assert.Equal(0, code);
        Assert.Equal("1 passed, 0 failed, 1 skipped", LastLine(said));
        Assert.Contains("two: the kernel is strange (since abc123)", said);
    }

    [Fact]
    public void A_listed_test_that_passes_is_told()
    {
        (int code, string said) = Run([Passing("one")], "one\tit was broken\tabc123\n");
        Assert.Equal(0, code);
        Assert.Contains("passes now:\n  one\n", said);
    }

    [Fact]
    public void A_listed_name_that_nobody_has_is_red()
    {
        (int code, string said) = Run([Passing("one")], "another\tit was broken\tabc123\n");
        Assert.Equal(1, code);
        Assert.Contains("there is none of this name", said);
    }

    [Theory]
    [InlineData("two\tno commit\n")]
    [InlineData("two\t\tabc\n")]
    [InlineData("two\ta\tb\ntwo\ta\tb\n")]
    [InlineData("two a reason with blanks\n")]
    public void A_list_that_can_not_be_read_is_an_error(string text) => Assert.Throws<FormatException>(() => KnownFailures.Parse(text));

    [Fact]
    public void A_test_with_nothing_to_test_is_skipped_with_its_reason()
    {
        Test none = new("none", Tier.Gate, Company.Cage, () => throw new TestSkippedException("no such device"));
        (int code, string said) = Run([Passing("one"), none]);
        Assert.Equal(0, code);
        Assert.Equal("1 passed, 0 failed, 1 skipped", LastLine(said));
        Assert.Contains("none: no such device", said);
    }

    [Fact]
    public void Nothing_run_is_red()
    {
        (int code, string said) = Run([]);
        Assert.Equal(1, code);
        Assert.Equal("0 passed, 1 failed, 0 skipped", LastLine(said));
    }

    [Fact]
    public void Nothing_but_skipped_is_red()
    {
        Test none = new("none", Tier.Gate, Company.Cage, () => throw new TestSkippedException("no such device"));
        Assert.Equal(1, Run([none]).Code);
    }

    [Fact]
    public void A_check_made_before_that_failed_is_red()
    {
        StringWriter output = new();
        int code = new TestRun([Passing("one")], KnownFailures.None, output) { Checks = [new CheckMade("lint", "a tab"), new CheckMade("demo", null)] }.Execute();
        Assert.Equal(1, code);
        Assert.Equal("2 passed, 1 failed, 0 skipped", LastLine(output.ToString()));
        Assert.Contains("| a tab", output.ToString());
    }

    [Fact]
    public void A_test_in_this_process_that_hangs_is_left_behind_and_red()
    {
        StringWriter output = new();
        using ManualResetEventSlim never = new();
        Test hanging = new("hanging", Tier.Gate, Company.Unit, never.Wait);
        int code = new TestRun([hanging, Passing("one")], KnownFailures.None, output) { Limit = TimeSpan.FromSeconds(0.2) }.Execute();
        never.Set();
        Assert.Equal(1, code);
        Assert.Contains("did not end within", output.ToString());
    }

    [Fact]
    public void The_order_is_that_of_the_seed()
    {
        Assert.Equal(Order(5), Order(5));
        Assert.NotEqual(Order(5), Order(6));

        static string Order(int seed)
        {
            List<string> order = [];
            Test[] tests = [.. Enumerable.Range(0, 30).Select(i => new Test($"{i}", Tier.Gate, Company.Cage, () => order.Add($"{i}")))];
            StringWriter output = new();
            new TestRun(tests, KnownFailures.None, output) { Seed = seed, Jobs = 1 }.Execute();
            Assert.Contains($"seed {seed}", output.ToString());
            return string.Join(' ', order);
        }
    }

    [Fact]
    public void Who_is_to_be_alone_has_no_company()
    {
        int running = 0, most = 0;
        Test[] tests = [.. Enumerable.Range(0, 6).Select(i => new Test($"{i}", Tier.Gate, Company.Alone, () =>
        {
            most = Math.Max(most, Interlocked.Increment(ref running));
            Thread.Sleep(5);
            Interlocked.Decrement(ref running);
        }))];
        Assert.Equal(0, new TestRun(tests, KnownFailures.None, new StringWriter()).Execute());
        Assert.Equal(1, most);
    }

    private static Test Passing(string name) => new(name, Tier.Gate, Company.Cage, () => { });

    private static Test Failing(string name, string log) => new(name, Tier.Gate, Company.Cage, () => throw new TestFailedException(log));

    private static (int Code, string Said) Run(Test[] tests, string known = "")
    {
        StringWriter output = new();
        int code = new TestRun(tests, KnownFailures.Parse(known), output) { AllNames = tests.Select(test => test.Name).ToHashSet() }.Execute();
        return (code, output.ToString());
    }

    private static string LastLine(string said) => said.TrimEnd().Split('\n')[^1];
}
