namespace Stasis.ProcessTests;

/// <summary>Programs on a terminal whose other side is outside of the tree, restarted on another one: tests/terminals/outside.py.</summary>
public sealed class TerminalTests
{
    [Theory]
    [InlineData("vim")]
    [InlineData("less")]
    public void A_screen_is_drawn_again_on_the_terminal_of_the_restart(string program) => Outside(program, limitSeconds: 60);

    [Trait("tier", "long")]
    [Theory]
    [InlineData("vim_in_namespace")]
    [InlineData("python")]
    [InlineData("nested_shell")]
    [InlineData("bash_from_shell")]
    [InlineData("bash_with_terminal_of_its_own")]
    [InlineData("twice")]
    [InlineData("stopped_often")]
    [InlineData("run_stopped_often")]
    public void A_program_goes_on_on_the_terminal_of_its_restart(string program) => Outside(program, limitSeconds: 360);

    private static void Outside(string program, int limitSeconds) => Cage.Script($"terminal-{program}", $"""
        needs vim less python3
        export PYTHONDONTWRITEBYTECODE=1
        mkdir work; cd work
        timeout -k 2 100 /usr/bin/python3 $tests/terminals/outside.py {program} $stasis >../said 2>&1
        [ "$(cat ../said)" = ok ] || failed "$(cat ../said)"
        """, limitSeconds);

    /// <summary>A check can't tell it from a reader that is just a little behind, so it is the checkpoint that says so.</summary>
    [Fact]
    public void More_output_than_can_be_put_back_is_refused() => Cage.Script("terminal-full", """
        start_victim terminal_full
        tool checkpoint $pid -o image
        expect_code 69
        expect_says 'more than 4000 bytes that were written to /dev/pts/[0-9]+ wait'
        [ ! -e image ] || failed "a refused checkpoint left an image"
        verify_victim
        """);

    /// <summary>What waits is taken and put back by a process of the tree itself, which brings that to its end without us.</summary>
    [Trait("tier", "long")]
    [Fact]
    public void What_waits_in_terminals_is_there_whenever_the_tool_dies() => Cage.Script("terminal-killed", """
        start_victim terminal_data
        checkpoint=("$stasis" checkpoint "$pid" -o "$PWD/image" --leave-running)
        read -r longest code <<<"$("$tools/killat" 0 "${checkpoint[@]}" 2>errors)"
        [ "$code" = 0 ] || failed "the checkpoint ended with $code"
        killed=0
        for ((i = 0; i < 60; i++)); do
          rm -rf image* .image*
          outcome=$("$tools/killat" $(((RANDOM * 32768 + RANDOM) % longest + 1)) "${checkpoint[@]}" 2>errors)
          [ "$outcome" != killed ] || killed=$((killed + 1))
        done
        [ $killed -gt 10 ] || failed "only $killed of 60 checkpoints were killed"
        sleep 1.5
        verify_victim
        """, limitSeconds: 360);
}
