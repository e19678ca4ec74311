namespace Stasis.ProcessTests;

/// <summary>Real programs, each against an uninterrupted run: tests/programs.</summary>
public sealed class ProgramTests
{
    private const int LongLimitSeconds = 900;

    public static TheoryData<string, string, int> EveryMoment
    {
        get
        {
            TheoryData<string, string, int> all = [];
            foreach (string file in Directory.GetFiles(Path.Combine(Cage.Home, "tests/programs"), "*.sh").Order(StringComparer.Ordinal))
            {
                string name = Path.GetFileNameWithoutExtension(file);
                foreach (int moment in name == "drive" ? [] : new[] { 10, 30, 50, 70, 85 })
                {
                    all.Add(name, "kill", moment);
                    all.Add(name, "leave", moment);
                }
            }

            return all;
        }
    }

    [Theory]
    [InlineData("pipeline", "kill")]
    [InlineData("xz", "kill")]
    [InlineData("python-threads", "leave")]
    [InlineData("avx", "kill")]
    [InlineData("sort", "leave")]
    [InlineData("strace", "kill")]
    [InlineData("vim", "leave")]
    public void Gives_the_result_of_an_uninterrupted_run(string program, string mode) => Drive(program, mode, 40, 120);

    /// <summary>Five moments in both modes.</summary>
    [Trait("tier", "long")]
    [Theory]
    [MemberData(nameof(EveryMoment))]
    public void At_every_moment(string program, string mode, int moment) => Drive(program, mode, moment, LongLimitSeconds);

    [Trait("tier", "long")]
    [Theory]
    [InlineData("gdb")]
    [InlineData("perl")]
    [InlineData("python-threads")]
    [InlineData("vim")]
    public void Comes_back_three_times(string program) => Drive(program, "generations", 20, LongLimitSeconds);

    private static void Drive(string program, string mode, int moment, int limitSeconds) => Cage.Command(
        $"program-{program}", ["bash", Path.Combine(Cage.Home, "tests/programs/drive.sh"), program, mode, $"{moment}%"], limitSeconds);
}

/// <summary>What a newcomer runs first.</summary>
public sealed class DemoTests
{
    [Fact]
    public void Gives_three_times_the_same_result() => Cage.Script("demo", "exec bash /tmp/checkout/demo/demo");
}
