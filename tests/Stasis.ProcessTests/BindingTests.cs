using Xunit;

namespace Stasis.ProcessTests;

/// <summary>What the user puts in the place of what can't or shall not come back: --external, --bind, and hooks.</summary>
public sealed class BindingTests
{
    [Fact]
    public void A_descriptor_left_out_is_bound_at_restart() => Cage.Script("bind-fd", """
        start_victim external
        tool checkpoint $pid -o image
        expect_code 69
        tool checkpoint $pid -o image --external $pid/52
        expect_code 69
        expect_says 'descriptor 52'
        tool checkpoint $pid -o image --external $pid/50
        expect_code 0
        expect_says 'Not as it was: external .*descriptor 50'
        tool show --losses image
        expect_says 'Not as it was: external .*descriptor 50'
        await_end $pid 30
        echo bound >stand-in
        for option in "" "--bind fd:$pid/49=stand-in" "--bind fd:nobody/50=stand-in" "--bind fd:$pid/50=nowhere" "--bind fd:$pid/50=fd:9"; do
          tool restart image --detach $option
          expect_code 69
        done
        tool restart image --detach --pid-file pid --bind fd:external/51=$here/stand-in
        expect_code 0
        verify_victim
        """);

    [Fact]
    public void A_descriptor_of_the_restart_takes_its_place() => Cage.Script("bind-inherited", """
        start_victim external
        tool checkpoint $pid -o image --external $pid/50
        expect_code 0
        await_end $pid 30
        echo bound >stand-in
        exec 7<stand-in
        tool restart image --detach --bind fd:$pid/50=fd:7
        expect_code 0
        exec 7<&-
        verify_victim
        """);

    [Fact]
    public void Files_are_found_where_they_have_moved_to() => Cage.Script("bind-file", """
        start_victim external
        tool checkpoint $pid -o image --external $pid/50
        expect_code 0
        await_end $pid 30
        mv cwd moved
        echo bound >stand-in
        tool restart image --detach --bind fd:$pid/50=$here/stand-in
        expect_code 69
        { echo "# where everything is now"; echo; echo "file:$here/cwd=$here/moved"; echo "fd:$pid/50=$here/stand-in"; } >bindings
        tool restart image --detach --bind-file bindings
        expect_code 0
        [ "$(readlink /proc/$pid/cwd)" = "$here/moved" ] || failed "it is in $(readlink /proc/$pid/cwd)"
        mv moved cwd
        verify_victim
        """);

    [Theory]
    [InlineData("nothing")]
    [InlineData("file:relative=/x")]
    [InlineData("fd:5=/x")]
    [InlineData("fd:5/x=/x")]
    [InlineData("fd:5/1=fd:x")]
    [InlineData("pty:=x")]
    public void What_is_no_binding_is_a_usage_error(string text) => Cage.Script($"bind-usage-{text.Length}-{text[0]}{text[^1]}", $$"""
        mkdir -p image
        tool restart image --bind {{text}}
        expect_code 64
        expect_says 'a binding looks like'
        """);

    [Fact]
    public void Hooks_are_called_at_every_point_with_what_they_need() => Cage.Script("hooks", """
        start_victim tree_sessions
        cat >hook <<'TEXT'
        #!/bin/sh
        text=$(cat)
        echo "$1 $(echo "$text" | jq -r '"\(.journey) \(.point) \(.pid) \(.processes | length)"') $(basename "$(echo "$text" | jq -r .image)")" >>calls
        [ "$(ls /proc/self/fd | wc -l)" -le 4 ] || echo "descriptors: $(ls -l /proc/self/fd)" >>calls
        TEXT
        chmod +x hook
        tool checkpoint $pid -o image --hook ./hook --json
        expect_code 0
        jq -e .pid output >/dev/null || failed "the output is no JSON document any more: $(cat output)"
        await_end $pid 30
        tool restart image --detach --hook ./hook
        expect_code 0
        verify_victim
        n=$(jq '.processes' output 2>/dev/null)
        cut -d' ' -f1,2,3,4 calls >got
        printf '%s\n' "before-freeze checkpoint before-freeze $pid" "frozen checkpoint frozen $pid" "written checkpoint written $pid" "done checkpoint done $pid" \
          "planned restart planned 0" "built restart built $pid" "running restart running $pid" >wanted
        diff got wanted || failed "hooks were called otherwise: $(cat calls)"
        grep '^frozen' calls | grep -qE ' [1-9][0-9]* image$' || failed "$(cat calls)"
        """);

    [Theory]
    [InlineData("before-freeze")]
    [InlineData("frozen")]
    [InlineData("written")]
    public void A_hook_that_fails_stops_a_checkpoint_unharmed(string point) => Cage.Script($"hook-{point}", $$"""
        start_victim threads_tls
        printf '#!/bin/sh\n[ "$1" != {{point}} ] || exit 3\n' >hook; chmod +x hook
        tool checkpoint $pid -o image --hook $here/hook
        expect_code 70
        expect_says 'hook .* ended with 3 at point {{point}}'
        [ -z "$(ls -d image* 2>/dev/null)" ] || failed "left behind: $(ls -d image*)"
        verify_victim
        """);

    [Fact]
    public void A_hook_that_fails_behind_the_end_says_what_was_reached() => Cage.Script("hook-last", """
        start_victim threads_tls
        printf '#!/bin/sh\n[ "$1" != done ] && [ "$1" != running ] || exit 3\n' >hook; chmod +x hook
        tool checkpoint $pid -o image --hook $here/hook
        expect_code 70
        expect_says 'at point done; the checkpoint itself is complete'
        await_end $pid 30
        tool restart image --detach --hook $here/hook
        expect_code 70
        expect_says 'at point running; the restarted program runs all the same'
        verify_victim
        """);

    [Theory]
    [InlineData("planned")]
    [InlineData("built")]
    public void A_hook_that_fails_stops_a_restart_with_nothing_made(string point) => Cage.Script($"hook-restart-{point}", $$"""
        start_victim threads_tls
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        printf '#!/bin/sh\n[ "$1" != {{point}} ] || kill -9 $$\n' >hook; chmod +x hook
        tool restart image --detach --hook $here/hook
        expect_code 70
        expect_says 'at point {{point}}'
        expect_processes 2
        tool restart image --detach --hook $here/nowhere
        expect_code 70
        expect_says "can't be started"
        tool restart image --detach
        expect_code 0
        verify_victim
        """);
}
