using System.Text.Json;

namespace Stasis.ProcessTests;

/// <summary>Exit codes, messages, --json: what a person or a script meets at the command line.</summary>
public sealed class CommandLineTests
{
    [Theory]
    [InlineData("--version", 0)]
    [InlineData("--help", 0)]
    [InlineData("checkpoint --help", 0)]
    [InlineData("restart --help", 0)]
    [InlineData("check --help", 0)]
    [InlineData("show --help", 0)]
    [InlineData("run --help", 0)]
    [InlineData("frobnicate", 64)]
    [InlineData("checkpoint", 64)]
    [InlineData("checkpoint notapid -o image", 64)]
    [InlineData("checkpoint 0 -o image", 64)]
    [InlineData("checkpoint -5 -o image", 64)]
    [InlineData("checkpoint 1", 64)]
    [InlineData("checkpoint 1 -o image --no-such-option", 64)]
    [InlineData("restart", 64)]
    [InlineData("restart image --changed-files perhaps", 64)]
    [InlineData("check", 64)]
    [InlineData("run", 64)]
    public void Ends_with(string arguments, int code) =>
        Cage.Script("usage", $"tool {arguments}; expect_code {code}");

    [Fact]
    public void Version_is_one_line() =>
        Cage.Script("version", "tool --version; expect_code 0; [ $(wc -l <output) = 1 ] || failed several lines; expect_says '[0-9]+\\.[0-9]+\\.[0-9]+'");

    [Theory]
    [InlineData("checkpoint 999999 -o image")]
    [InlineData("check 999999")]
    public void A_pid_that_is_not_there_is_named(string arguments) =>
        Cage.Script("gone", $"tool {arguments}; [ $code = 70 ] || [ $code = 69 ] || failed exit code $code; expect_says 999999; expect_code $code; [ ! -e image ]");

    [Fact]
    public void A_checkpoint_does_not_write_over_what_is_there() => Cage.Script("existing", """
        start_victim threads_tls
        mkdir image; echo mine >image/file
        tool checkpoint $pid -o image
        [ $code -eq 64 ] || [ $code -eq 69 ] || [ $code -eq 70 ] || failed "exit code $code"
        expect_code $code
        expect_says image
        [ "$(cat image/file)" = mine ] || failed "it touched what was there"
        verify_victim
        """);

    [Fact]
    public void A_place_that_cannot_be_written_harms_nobody() => Cage.Script("nowhere", """
        start_victim threads_tls
        tool checkpoint $pid -o /no/such/directory/image
        [ $code -eq 64 ] || [ $code -eq 69 ] || [ $code -eq 70 ] || failed "exit code $code"
        expect_code $code
        expect_says /no/such
        verify_victim
        """);

    [Fact]
    public void A_directory_that_is_gone_is_named() => Cage.Script("unplaced", """
        start_victim threads_tls
        code=0
        (mkdir gone; cd gone; rmdir ../gone; exec "$stasis" checkpoint $pid -o image) >output 2>errors || code=$?
        expect_code 70
        expect_says 'started in has been removed'
        verify_victim
        """);

    [Fact]
    public void A_full_disk_harms_nobody_and_leaves_nothing() => Cage.Script("full", """
        mkdir small; mount -t tmpfs -o size=400k tmpfs small
        start_victim memory_private
        tool checkpoint $pid -o small/image
        expect_code 70
        expect_says 'room|space'
        [ ! -e small/image ] || failed "there is an image"
        [ -z "$(find small -type f)" ] || failed "left behind: $(find small -type f)"
        verify_victim
        """);

    [Fact]
    public void A_pid_that_is_taken_is_refused_with_a_way_out() => Cage.Script("taken", """
        start_victim threads_tls
        tool checkpoint $pid -o image --leave-running
        expect_code 0
        tool restart image --detach
        expect_code 69
        expect_says $pid
        expect_says 'new-pid-namespace'
        verify_victim
        """);

    [Fact]
    public void A_taken_pid_is_free_in_a_new_namespace() => Cage.Script("namespace", """
        start_victim threads_tls
        tool checkpoint $pid -o image --leave-running
        expect_code 0
        verify_victim
        rm -f cwd/result cwd/verify
        # Whoever has the id now.
        sh -c 'echo '$((pid - 1))' >/proc/sys/kernel/ns_last_pid' 2>/dev/null
        sleep 300 &
        tool restart image --detach --pid-file pid --new-pid-namespace
        expect_code 0
        pid=$(cat pid)
        [ -d /proc/$pid ] || failed "nobody is at the pid of the pid file"
        verify_victim
        """);

    [Fact]
    public void Who_has_no_right_is_told_so() => Cage.Script("rights", """
        start_victim threads_tls
        chmod 777 .
        for words in "checkpoint $pid -o image" "check $pid"; do
          echo "stasis $words"
          cp $stasis ./stasis-for-all; chmod 755 ./stasis-for-all
          timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all ./stasis-for-all $words </dev/null >output 2>errors
          code=$?
          expect_code 77
          [ ! -e image ] || failed "there is an image"
        done
        verify_victim
        """);

    [Fact]
    public void Who_has_no_right_restarts_nothing() => Cage.Script("restart-rights", """
        start_victim threads_tls
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        cp $stasis ./stasis-for-all; chmod 755 ./stasis-for-all; chmod -R a+rX image; chmod 777 .
        timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all ./stasis-for-all restart image --detach </dev/null >output 2>errors
        code=$?
        expect_code 77
        expect_processes 1
        tool restart image --detach
        expect_code 0
        verify_victim
        """);

    [Fact]
    public void A_target_that_ends_in_the_middle_is_no_image() => Cage.Script("ends", """
        refused=0
        for moment in 00 01 02 03 05 07 10 13 16 20; do
          start_victim threads_tls
          "$stasis" checkpoint $pid -o image </dev/null >output 2>errors &
          tool=$!
          sleep 0.0$moment
          kill -KILL $pid
          wait $tool; code=$?
          echo "killed after 0.0$moment s: exit code $code: $(head -n 1 errors)"
          case $code in
            0) tool show image; expect_code 0 ;;
            69 | 70) expect_code $code; [ ! -e image ] || failed "there is an image"; refused=$((refused + 1)) ;;
            *) failed "exit code $code" ;;
          esac
          [ -z "$(ls -d .image* image.* 2>/dev/null)" ] || failed "left behind: $(ls -d .image* image.* 2>/dev/null)"
          await_end $pid 30
          rm -rf image cwd
        done
        [ $refused -gt 0 ] || skip "the checkpoint was always faster"
        """);

    [Fact]
    public void A_program_file_that_changed_since_is_named() => Cage.Script("changed", """
        cp $victims/threads_tls program
        mkdir cwd
        (cd cwd && exec setsid ../program </dev/null >>out.txt 2>&1) &
        pid=$!
        await_file cwd/ready 30 || failed "not ready"
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        cp -p program kept
        printf 'more' >>program
        tool restart image --detach
        expect_code 69
        expect_says "$PWD/program"
        expect_processes 1
        """);

    [Fact]
    public void Foreground_restart_ends_as_the_program_does() => Cage.Script("foreground", """
        start_victim threads_tls
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        (sleep 0.4; echo verify >cwd/verify) &
        tool restart image
        expect_code 0
        [ "$(cat cwd/result)" = ok ] || failed "$(cat cwd/result)"
        """);

    [Fact]
    public void Foreground_restart_tells_which_signal_ended_it() => Cage.Script("signalled", """
        start_victim threads_tls
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        (await_restarted $pid threads_tls; kill -KILL $pid) &
        tool restart image
        [ $code -eq 137 ] || failed "exit code $code, not 128 + 9"
        """);

    [Fact]
    public void Foreground_restart_forwards_signals() => Cage.Script("forwarded", """
        start_victim threads_tls
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        $stasis restart image </dev/null >output 2>errors &
        tool=$!
        await_restarted $pid threads_tls
        kill -TERM $tool
        wait $tool; code=$?
        [ $code -eq 143 ] || failed "exit code $code, not 128 + 15"
        await_end $pid 30 || failed "the program still runs"
        """);

    [Fact]
    public void Run_passes_the_exit_code_and_the_streams() => Cage.Script("run", """
        echo input | timeout 60 $stasis run -- sh -c 'read line; echo got $line; exit 7' >output 2>errors
        code=$?
        [ $code -eq 7 ] || failed "exit code $code, not 7"
        [ "$(cat output)" = "got input" ] || failed "output: $(cat output)"
        timeout 60 $stasis run -- sh -c 'kill -TERM $$' >output 2>errors
        code=$?
        [ $code -eq 143 ] || failed "exit code $code, not 143"
        timeout 60 $stasis run -- /no/such/program >output 2>errors
        code=$?
        [ $code -ne 0 ] || failed "a program that is not there ran"
        expect_code $code
        """);

    [Fact]
    public void Run_then_checkpoint_then_restart_anywhere() => Cage.Script("run-restart", """
        mkdir cwd
        (cd cwd && exec $stasis run --pid-file ../pid -- $victims/threads_tls </dev/null >out.txt 2>&1) &
        await_file cwd/ready 30 || failed "not ready: $(cat cwd/out.txt)"
        pid=$(cat pid)
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        wait
        tool restart image --detach --pid-file pid
        expect_code 0
        pid=$(cat pid)
        verify_victim
        """);

    [Theory]
    [InlineData("checkpoint $pid -o image --leave-running --json")]
    [InlineData("check $pid --json")]
    [InlineData("show before --json")]
    public void Json_output_is_json(string arguments)
    {
        Cage.Outcome outcome = Cage.Script("json", $"""
            start_victim tree_sessions
            tool checkpoint $pid -o before --leave-running
            expect_code 0
            tool {arguments}
            expect_code 0
            echo ---
            cat output
            echo ---
            verify_victim
            """);
        using JsonDocument document = JsonDocument.Parse(outcome.Output.Split("---\n")[1]);
        Assert.Equal(JsonValueKind.Object, document.RootElement.ValueKind);
    }

    [Fact]
    public void Json_of_a_refusal_names_every_problem() => Cage.Script("json-refusal", """
        start_victim refused_fanotify
        tool check $pid --json
        expect_code 69
        python3 -c 'import json,sys; text=open("output").read(); json.loads(text); assert "fanotify" in text' || failed "output: $(cat output)"
        verify_victim
        """);

    [Fact]
    public void Several_problems_are_told_at_once() => Cage.Script("problems", """
        start_victim refused_perf
        first=$pid; mv cwd cwd1
        # A tree of two victims with different problems: a shell that is the parent of both.
        mkdir cwd
        cat >both <<'TEXT'
        mkdir -p a b
        (cd a && exec "$1/refused_fanotify") &
        (cd b && exec "$1/refused_netlink") &
        wait
        TEXT
        (cd cwd && exec setsid sh ../both "$victims" </dev/null >out.txt 2>&1) &
        pid=$!
        await_file cwd/a/ready 30 && await_file cwd/b/ready 30 || failed not ready
        tool check $pid
        expect_code 69
        expect_says fanotify
        expect_says netlink
        echo v >cwd/a/verify; echo v >cwd/b/verify
        await_end $pid 30
        """);

    [Fact]
    public void Syscall_user_dispatch_that_sends_all_calls_away_is_refused_when_it_shows() => Cage.Script("dispatch_blocked", """
        start_victim dispatch_blocked
        tool checkpoint $pid -o image
        expect_code 69
        expect_says 'syscall user dispatch'
        [ ! -e image ] || failed "there is an image"
        verify_victim
        """);

    [Fact]
    public void Descriptors_that_change_while_they_are_looked_at() => Cage.Script("descriptors_changing", """
        start_victim descriptors_changing
        for round in {1..60}; do
          tool check $pid
          expect_code 0
        done
        for round in {1..20}; do
          tool checkpoint $pid -o image --leave-running
          expect_code 0
          rm -rf image
        done
        verify_victim
        """);

    [Fact]
    public void A_filter_with_a_supervisor_is_refused_when_it_shows() => Cage.Script("seccomp_notify", """
        start_victim seccomp_notify
        tool checkpoint $pid -o image
        expect_code 69
        expect_says 'supervisor'
        [ ! -e image ] || failed "there is an image"
        verify_victim
        """);

    [Fact]
    public void Keys_of_a_session_are_told_as_lost() => Cage.Script("session_keyring", """
        start_victim session_keyring
        tool checkpoint $pid -o image --leave-running
        expect_code 0
        expect_says 'session keyring with 2 keys'
        verify_victim
        tool show --losses image
        expect_says 'session keyring with 2 keys'
        """);

    [Theory]
    [InlineData("landlock", "Landlock")]
    [InlineData("keyring", "keyring")]
    [InlineData("segments", "table of segments")]
    public void What_can_not_be_carried_and_shows_nowhere_is_refused(string victim, string word) => Cage.Script(victim, $$"""
        for user in '' yes; do
          export VICTIM_USER=$user
          [ "$user" ] || unset VICTIM_USER
          start_victim {{victim}}
          tool checkpoint $pid -o image
          expect_code 69
          expect_says '{{word}}'
          [ ! -e image ] || failed "there is an image"
          verify_victim
          rm -rf cwd
        done
        """);

    /// <summary>Every register, also those beyond SSE, comes back by the frame for the way home, which the kernel takes only if it is of the right length.</summary>
    [Fact]
    public void A_tool_that_stands_still_while_a_task_lingers_harms_nobody() => Held("registers_vector", "1 2 3");

    [Trait("tier", "long")]
    [Theory]
    [InlineData("registers_vector")]
    [InlineData("registers_tiles")]
    [InlineData("calls_timed")]
    public void A_tool_that_stands_still_at_many_moments_harms_nobody(string victim) => Held(victim, "1 2 5 12");

    private static void Held(string victim, string moments) => Cage.Script($"held-{victim}", $$"""
        for moment in {{moments}}; do
          start_victim {{victim}}
          read -r outcome code <<<"$("$tools/holdat" $moment 1400 "$stasis" checkpoint $pid -o image$moment --leave-running </dev/null 2>errors)"
          echo "moment $moment: $outcome $code: $(head -1 errors)"
          # It may have been too late: then it says so.
          [ "$code" = 0 ] || [ "$code" = 70 ] || failed "exit code $code"
          verify_victim
          rm -rf cwd
          [ "$outcome" = held ] || break
          [ "$code" = 0 ] || late=yes
        done
        [ "${late-}" = yes ] || failed "the tool was never held while a task lingered"
        """, 360);

    /// <summary>Killed while a frame lies at the end of a stack of which every byte is in use: the first call into a task, the last, and those between.</summary>
    [Fact]
    public void A_tool_that_dies_while_a_frame_lies_on_a_full_stack_harms_nobody() => Cage.Script("full-stack", """
        for moment in {1..30}; do
          start_victim stack_at_its_end
          read -r outcome code <<<"$("$tools/holdat" $moment kill "$stasis" checkpoint $pid -o image$moment --leave-running </dev/null 2>errors)"
          verify_victim
          rm -rf cwd
          [ "$outcome" = held ] || break
          kills=$moment
        done
        echo "killed at ${kills-no} moments"
        [ "${kills-0}" -ge 3 ] || failed "the tool was killed at ${kills-no} moments only: $code: $(cat errors)"
        """, 360);

    [Fact]
    public void Bytes_that_wait_in_an_outer_pipe_are_not_lost() => Cage.Script("waiting", """
        mkdir cwd
        (echo waits; sleep 300) | (cd cwd && exec setsid sleep 1000 >/dev/null 2>&1) &
        for tries in {1..300}; do
          sleep 0.1
          for process in /proc/[0-9]*; do [ "$(tr '\0' ' ' <$process/cmdline 2>/dev/null)" = "sleep 1000 " ] && pid=${process#/proc/}; done
          [ -n "${pid-}" ] && break
        done
        tool checkpoint $pid -o image
        expect_code 69
        expect_says 'bytes wait in this pipe'
        [ -d /proc/$pid ] || failed "it has ended"
        """);

    [Fact]
    public void Show_tells_the_tree() => Cage.Script("show", """
        start_victim threads_tls
        tool checkpoint $pid -o image --leave-running
        expect_code 0
        tool show image
        expect_code 0
        expect_says threads_tls
        expect_says $pid
        verify_victim
        """);

    [Fact]
    public void A_terminal_that_is_gone_becomes_that_of_the_restart() => Cage.Script("terminal", """
        export SHELL=/bin/sh
        mkdir cwd; cd cwd
        sleep 300 | script -qec "exec $victims/terminal_job" ../first >/dev/null 2>&1 &
        cd ..
        await_file cwd/ready 30 || failed "not ready: $(cat first)"
        for process in /proc/[0-9]*; do [ "$(cat $process/comm)" = terminal_job ] && pid=${process#/proc/}; done
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        (await_restarted $pid terminal_job; echo verify >cwd/verify; echo typed; await_file cwd/result 30; sleep 1) | timeout 60 script -qec "$stasis restart image" second >/dev/null 2>&1
        [ "$(cat cwd/result)" = ok ] || failed "$(cat cwd/result) $(cat second)"
        grep -q after second || failed "the new terminal shows: $(cat second)"
        """);

    [Fact]
    public void Streams_that_are_gone_become_those_of_the_restart() => Cage.Script("streams", """
        # A program between two pipes whose other ends are outside of the tree.
        sleep 300 | (exec setsid sh -c 'echo before; while [ ! -e verify ]; do sleep 0.05; done; read line; echo "after: $line"; echo to errors >&2' 2>&1) | cat >first &
        await_file first 30 || failed "nothing came"
        for process in /proc/[0-9]*; do
          tr '\0' ' ' <$process/cmdline 2>/dev/null | grep -q '^sh -c echo before' && pid=${process#/proc/}
        done
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        touch verify
        echo typed | timeout 60 $stasis restart image >second 2>third
        code=$?
        [ $code -eq 0 ] || failed "exit code $code: $(cat third)"
        grep -q 'after: typed' second || failed "output: $(cat second)"
        """);
}
