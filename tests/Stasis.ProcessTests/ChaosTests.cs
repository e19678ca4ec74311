namespace Stasis.ProcessTests;

public sealed class ChaosTests
{
    /// <summary>Busy programs of five kinds, each of which checks itself; `./run chaos` does the same as often and as long as one likes.</summary>
    [Theory]
    [InlineData("checksum")]
    [InlineData("busy_tree")]
    [InlineData("busy_memory")]
    public void A_killed_tool_harms_nobody(string kind) =>
        Cage.Script($"chaos-{kind}", $"exec bash $tests/chaos.sh --inside --kind {kind} --kill --times 20 --restarts 5");

    /// <summary>Killed checkpoints of these two are in the long tier, and known: between a stop and the look at it a call that every stop ends is not spared yet.</summary>
    [Theory]
    [InlineData("busy_signals")]
    [InlineData("busy_calls")]
    public void A_killed_restart_leaves_nothing_or_all(string kind) =>
        Cage.Script($"chaos-restarts-{kind}", $"exec bash $tests/chaos.sh --inside --kind {kind} --kill --times 0 --restarts 10");

    [Trait("tier", "long")]
    [Theory]
    [InlineData("checksum")]
    [InlineData("busy_tree")]
    [InlineData("busy_signals")]
    [InlineData("busy_calls")]
    [InlineData("busy_memory")]
    public void A_tool_killed_five_hundred_times_harms_nobody(string kind) =>
        Cage.Script($"chaos-long-{kind}", $"exec bash $tests/chaos.sh --inside --kind {kind} --kill --times 500 --restarts 60", limitSeconds: 600);

    /// <summary>
    /// Of programs that a tracer of the tree holds, stopped ones notice nothing. Of those that run the tracer may hear a stop that was ours, which is no
    /// harm; but all of them live, and no call of theirs is broken off. Each checkpoint finds what the one before it, just killed, has left.
    /// </summary>
    [Trait("tier", "long")]
    [Theory]
    [InlineData("tracer_stopped", "verify_victim")]
    [InlineData("tracer_running", "")]
    [InlineData("tracer_confined", "[ \"$(for child in $(cat /proc/$pid/task/$pid/children); do grep '^Seccomp:' /proc/$child/status; done | grep -c 2)\" = 4 ] || failed \"a child has ended, or is not confined any more\"")]
    [InlineData("tracer_judged", "[ \"$(for child in $(cat /proc/$pid/task/$pid/children); do grep '^Seccomp:' /proc/$child/status; done | grep -c 2)\" = 4 ] || failed \"a child has ended, or is not confined any more\"")]
    [InlineData("tracer_told", "[ \"$(for child in $(cat /proc/$pid/task/$pid/children); do grep '^Seccomp:' /proc/$child/status; done | grep -c 2)\" = 4 ] || failed \"a child has ended, or is not confined any more\"")]
    public void A_killed_checkpoint_of_a_tracer_harms_nobody(string victim, string afterwards) => Cage.Script($"chaos-{victim}", $$"""
        start_victim {{victim}}
        checkpoint=("$stasis" checkpoint "$pid" -o "$PWD/image" --leave-running)
        read -r longest code <<<"$("$tools/killat" 0 "${checkpoint[@]}" 2>errors)"
        [ "$code" = 0 ] || failed "the checkpoint ended with $code"
        killed=0
        for ((i = 0; i < 40; i++)); do
          rm -rf image* .image*
          outcome=$("$tools/killat" $(((RANDOM * 32768 + RANDOM) % longest + 1)) "${checkpoint[@]}" 2>errors)
          # The first may have taken longer than any other, on a busy machine.
          if [ "$outcome" = killed ]; then killed=$((killed + 1)); else longest=$((longest * 3 / 4 + 1000)); fi
          [ -d /proc/$pid ] || failed "the tracer has ended in round $i"
          [ ! -s cwd/result ] || failed "round $i: $(cat cwd/result)"
        done
        [ $killed -gt 10 ] || failed "only $killed of 40 checkpoints were killed"
        sleep 1.5
        {{afterwards}}
        """, limitSeconds: 360);
}
