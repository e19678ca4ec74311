using Xunit;

namespace Stasis.ProcessTests;

/// <summary>What a program sees of the time that its image lay on disk. The victim is the judge.</summary>
public sealed class ClockTests
{
    private const string Lie = """
        tool checkpoint $pid -o image
        expect_code 0
        expect_processes 2
        sleep 6
        """;

    [Theory]
    [InlineData("continue", "")]
    public void Time_on_disk_is_none(string mode, string option) => Time_on_disk(mode, option);

    [Trait("tier", "long")]
    [Theory]
    [InlineData("continue", "--clock continue")]
    [InlineData("real", "--clock real")]
    public void Time_on_disk(string mode, string option) => Cage.Script($"clock-{mode}{option.Length}", $$"""
        start_victim clocks
        echo {{mode}} >cwd/mode
        {{Lie}}
        tool restart image {{option}} --detach --pid-file pid
        expect_code 0
        sleep 0.3
        verify_victim
        """);

    // Every stop ends epoll_wait, which starts again: with the rest of its time, or a program that is checkpointed often enough never sees its timer expire.
    [Trait("tier", "long")]
    [Fact]
    public void Checkpoints_again_and_again_keep_no_timer_from_expiring() => Cage.Script("clock-timer", """
        printf 'import select, time\nbegan = time.monotonic()\nselect.epoll().poll(3)\nopen("took", "w").write("%%d" %% (1000 * (time.monotonic() - began)))\n' >program.py
        setsid /usr/bin/python3 program.py </dev/null >program.txt 2>&1 &
        pid=$!
        disown
        sleep 0.3
        until=$((SECONDS + 9)) count=0
        while [ $SECONDS -lt $until ] && [ ! -e took ]; do
          tool checkpoint $pid -o image --leave-running
          [ "$code" -ne 0 ] || count=$((count + 1))
          rm -rf image
        done
        await_file took 30 || failed "the program has not ended: $(cat program.txt)"
        [ $count -ge 2 ] || failed "only $count checkpoints were taken"
        [ "$(cat took)" -ge 3000 ] && [ "$(cat took)" -lt 6000 ] || failed "a wait of three seconds took $(cat took) ms over $count checkpoints"
        """);

    [Trait("tier", "long")]
    [Fact]
    public void Clocks_go_on_over_generations() => Cage.Script("clock-generations", """
        start_victim clocks
        echo continue >cwd/mode
        for i in 1 2 3; do
          tool checkpoint $pid -o image$i
          expect_code 0
          sleep 2
          [ $i -lt 3 ] || sleep 5
          tool restart image$i --detach --pid-file pid
          expect_code 0
          sleep 0.2
        done
        verify_victim
        """);

    [Trait("tier", "long")]
    [Fact]
    public void A_tree_in_a_namespace_of_its_own_keeps_its_clocks_too() => Cage.Script("clock-namespace", $$"""
        start_victim clocks
        echo continue >cwd/mode
        {{Lie}}
        tool restart image --new-pid-namespace --detach --pid-file pid
        expect_code 0
        pid=$(cat pid)
        sleep 0.3
        verify_victim
        """);

    [Trait("tier", "long")]
    [Fact]
    public void Without_the_right_the_clocks_are_the_hosts_and_that_is_said() => Cage.Script("clock-rights", $$"""
        weak="setpriv --inh-caps=-sys_time --bounding-set=-sys_time"
        mkdir cwd
        (cd cwd && exec $weak setsid "$victims/clocks" </dev/null >out.txt 2>&1) &
        pid=$!
        await_file cwd/ready 30 || failed not ready
        echo real >cwd/mode
        {{Lie}}
        printf '#!/bin/sh\nexec %s %s "$@"\n' "$weak" "$stasis" >weak; chmod 755 weak
        stasis=$here/weak
        tool restart image --clock continue --detach
        expect_code 69
        expect_says CAP_SYS_TIME
        tool restart image --detach --pid-file pid
        expect_code 0
        expect_says CAP_SYS_TIME
        sleep 0.3
        verify_victim
        """);
}
