namespace Stasis.ProcessTests;

/// <summary>Programs that ask for their own checkpoint: the command ends with 0 in the life that goes on, and with 10 in each that a restart begins.</summary>
public sealed class SelfRequestTests
{
    // lives N EXPECTED COMMAND...: a program that ends with 3 when it went on and with EXPECTED in its last life, which is that of image N.
    private const string Lives = """
        export STASIS=$stasis
        lives() {
          local last=$1 expected=$2 life; shift 2
          timeout 30 setsid "$@" </dev/null >>out.txt 2>&1
          [ $? -eq 3 ] || failed "the first life did not go on: $(tail -n 5 out.txt; cat result 2>/dev/null)"
          for ((life = 1; life <= last; life++)); do
            timeout 30 "$stasis" restart image$life --changed-files keep </dev/null >output 2>errors
            code=$?
            [ $code -eq $([ $life -lt $last ] && echo 3 || echo $expected) ] || failed "the life of image $life ended with $code: $(tail -n 5 out.txt; cat result 2>/dev/null)"
          done
        }

        """;

    private const string Steps = """
        cat >script <<'END'
        for ((step = 1; step <= LIVES; step++)); do
          COMMAND
          case $? in 0) echo "$step went on"; exit 3 ;; 10) echo "$step came back" ;; *) exit 9 ;; esac
        done
        exit 5
        END

        """;

    private static string Script(int lives, string command) => Lives + Steps.Replace("LIVES", $"{lives}").Replace("COMMAND", command) + $"\nlives {lives} 5 bash script\n";

    [Theory]
    [InlineData("straight", "\"$STASIS\" checkpoint $$ -o image$step")]
    [InlineData("shell", "sh -c '\"$STASIS\" checkpoint $PPID -o image'$step' && :'")]
    [InlineData("timeout", "timeout 60 \"$STASIS\" checkpoint $$ -o image$step")]
    [InlineData("background", "\"$STASIS\" checkpoint $$ -o image$step & wait $!")]
    [InlineData("substitution", "text=$(\"$STASIS\" checkpoint $$ -o image$step --json); code=$?; case $code/$text in 0/*\\\"image\\\"*|10/) ;; *) exit 8 ;; esac; (exit $code)")]
    [InlineData("pipe", "\"$STASIS\" checkpoint $$ -o image$step | cat; (exit ${PIPESTATUS[0]})")]
    public void A_script_learns_in_which_life_it_is(string name, string command) => Cage.Script($"self-{name}", Script(2, command) + """
        printf '%s\n' '1 went on' '1 came back' '2 went on' '2 came back' >wanted
        diff wanted <(grep -E 'went on|came back' out.txt | grep -v saved) || failed "it was another life"
        expect_processes 1
        """);

    [Trait("tier", "long")]
    [Fact]
    public void A_script_asks_for_itself_ten_lives_deep() => Cage.Script("self-deep", Script(10, "\"$STASIS\" checkpoint $$ -o image$step"), limitSeconds: 300);

    [Theory]
    [InlineData(2)]
    public void A_program_of_several_threads_asks_for_itself(int lives) => Cage.Script("self-threads", Threads(lives));

    [Trait("tier", "long")]
    [Fact]
    public void A_program_of_several_threads_asks_for_itself_ten_lives_deep() => Cage.Script("self-threads-deep", Threads(10), limitSeconds: 300);

    private static string Threads(int lives) => $"""
        {Lives}
        lives {lives} 0 "$victims/asks_for_itself" "$stasis" {lives}
        [ "$(cat result)" = ok ] || failed "$(cat result)"
        """;

    [Theory]
    [InlineData(2)]
    public void Python_asks_for_itself(int lives) => Cage.Script("self-python", Python(lives));

    [Trait("tier", "long")]
    [Fact]
    public void Python_asks_for_itself_ten_lives_deep() => Cage.Script("self-python-deep", Python(10), limitSeconds: 300);

    private static string Python(int lives) => $$"""
        needs python3
        {{Lives}}
        cat >program.py <<'END'
        import os, subprocess, sys, threading
        count, over = 0, False
        def work():
            global count
            while not over:
                count += 1
        thread = threading.Thread(target=work)
        thread.start()
        code = 5
        for life in range(1, {{lives}} + 1):
            done = subprocess.run([os.environ["STASIS"], "checkpoint", str(os.getpid()), "-o", f"image{life}"], capture_output=True, text=True)
            if done.returncode == 0:
                code = 3 if "is saved in" in done.stdout else 9
                break
            if done.returncode != 10 or done.stdout:
                print(done, file=sys.stderr)
                code = 8
                break
            before = count
            while count == before:
                pass
        over = True
        thread.join()
        sys.exit(code)
        END
        lives {{lives}} 5 python3 program.py
        """;

    [Fact]
    public void A_command_of_stasis_run_asks_for_itself() => Cage.Script("self-run", Lives + Steps.Replace("LIVES", "2").Replace("COMMAND", "\"$STASIS\" checkpoint $$ -o image$step") + "\nlives 2 5 \"$stasis\" run -- bash script\n");

    [Fact]
    public void It_is_examined_and_shown() => Cage.Script("self-show", """
        export STASIS=$stasis
        timeout 30 setsid bash -c '"$STASIS" check $$ && "$STASIS" checkpoint $$ -o image; exit $?' </dev/null >out.txt 2>&1
        code=$?
        [ $code -eq 0 ] || failed "it ended with $code: $(cat out.txt)"
        tool show image
        expect_code 0
        expect_says 'the command that asked for this; ends with 10'
        """);

    [Fact]
    public void Itself_alone_is_refused() => Cage.Script("self-alone", """
        export STASIS=$stasis
        bash -c 'exec "$STASIS" checkpoint $$ -o image' </dev/null >output 2>errors
        code=$?
        expect_code 70
        expect_says "can't checkpoint itself"
        [ ! -e image ] || failed "there is an image"
        """);

    /// <summary>It would stand still together with the tree, and nobody would let either go.</summary>
    [Fact]
    public void A_stasis_that_its_target_traces_is_refused() => Cage.Script("self-traced", """
        needs strace
        export STASIS=$stasis
        timeout 30 setsid strace -f -o trace bash -c '"$STASIS" checkpoint $PPID -o image; exit $?' </dev/null >output 2>errors
        code=$?
        expect_code 69
        expect_says 'traces this stasis'
        [ ! -e image ] || failed "there is an image"
        """);

    /// <summary>Neither stops the other for good: the younger waits, and is a program like others to the older.</summary>
    [Fact]
    public void Two_at_the_same_time_come_one_after_the_other() => Cage.Script("self-two", """
        export STASIS=$stasis
        cat >script <<'END'
        for round in 1 2 3 4 5; do
          "$STASIS" checkpoint $$ -o first$round & first=$!
          "$STASIS" checkpoint $$ -o second$round & second=$!
          wait $first; code=$?
          wait $second; echo "$round: $code $?"
        done
        END
        timeout 50 setsid bash script </dev/null >out.txt 2>&1 || failed "the script ended with $?: $(cat out.txt)"
        [ "$(grep -cE '^[1-5]: 0 0$' out.txt)" = 5 ] || failed "$(cat out.txt)"
        """);

    /// <summary>The tool dies in the middle: its parent sees that, and nothing else.</summary>
    [Fact]
    public void A_killed_command_is_a_command_that_was_killed() => Cage.Script("self-killed", """
        export STASIS=$stasis
        cat >script <<'END'
        for ((round = 1; round <= 30; round++)); do
          rm -rf image image.*
          "$STASIS" checkpoint $$ -o image --quiet
          echo $? >>codes
        done
        echo ended >>codes
        END
        setsid bash script </dev/null >out.txt 2>&1 &
        pid=$!
        kills=0
        while [ -d /proc/$pid ] && ! grep -q ended codes 2>/dev/null; do
          command=$(cat /proc/$pid/task/$pid/children 2>/dev/null)
          [ "$(readlink /proc/${command% }/exe 2>/dev/null)" = "$stasis" ] || continue
          read -rt 0.0$((RANDOM % 3))$((RANDOM % 10)) <> <(:)
          kill -KILL ${command% } 2>/dev/null && kills=$((kills + 1))
          until [ "$(cat /proc/$pid/task/$pid/children 2>/dev/null)" != "$command" ] || ! [ -d /proc/$pid ]; do :; done
        done
        wait $pid || failed "the script ended with $?"
        [ "$(tail -n 1 codes)" = ended ] || failed "the script did not come to its end"
        [ $kills -ge 5 ] || failed "only $kills commands were killed"
        [ "$(grep -vxcE '0|137|ended' codes)" = 0 ] || failed "a command ended with $(grep -vxE '0|137|ended' codes)"
        echo "$kills kills, $(grep -xc 137 codes) of them in time"
        """);
}
