using Xunit;

namespace Stasis.ProcessTests;

/// <summary>Looks at the queues of live sockets change options of these for microseconds; the victim checks that none is left behind.</summary>
public sealed class PeekGuardTests
{
    [Trait("tier", "long")]
    [Fact]
    public void A_tool_killed_at_any_moment_leaves_the_sockets_as_they_were() => Cage.Script("peek-guard", """
        start_victim unix_descriptors_in_flight
        for i in $(seq 60); do
          rm -rf image*
          "$stasis" checkpoint $pid -o image --leave-running </dev/null >output 2>errors &
          tool=$!
          sleep 0.0$((i % 3))$((RANDOM % 10))$((RANDOM % 10))
          kill -9 $tool 2>/dev/null
          wait $tool 2>/dev/null
        done
        sleep 1.5
        expect_processes 2
        rm -rf image*
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        tool restart image --detach
        expect_code 0
        verify_victim
        """, 360);
}
