#!/usr/bin/env bash
# Drives one real program through one checkpoint.
#
#   tests/programs/drive.sh NAME MODE [MOMENT]
#
# NAME    a scenario of this directory (NAME.sh)
# MODE    plain   no checkpoint at all: the run, checked against the reference (is the scenario itself right?)
#         stay    checkpoint --leave-running, the image is not used: the program must end as if nothing had been
#         kill    checkpoint, the program is killed; restart in the foreground; check
#         leave   checkpoint --leave-running; the original ends and is checked; its files are put back as they were;
#                 restart --detach of the image; check again
#         generations   checkpoint and restart, ten times over (STASIS_GENERATIONS); check
# MOMENT  seconds after the start, and after each restart but the last, at which the checkpoint is taken; or, as 40%, this part of the uninterrupted run
#
# A scenario defines `prepare` (makes inputs in the current directory, once), `start` (executes the program; its standard
# output and error already go to stdout.txt and stderr.txt there, its input is /dev/null) and `check` (succeeds if the
# result in the current directory equals that of the uninterrupted run in ../reference). Every run works in its own copy
# of what `prepare` made. `needs` names the commands without which the scenario is skipped,
# `untouched` the inputs that the program only reads.
#
# Everything happens in a cage (tests/cage) which dies as a whole. The last line is
# `ok NAME MODE MOMENT`, `skip NAME MODE MOMENT: reason` or `FAIL NAME MODE MOMENT: reason`; exit 0, 75 or 1.
# Files are kept only when a run failed.
#
# STASIS               the binary (out/stasis)          STASIS_PROGRAMS_DIR  where it works (/tmp/stasis-programs)
# STASIS_PROGRAMS_LIMIT  seconds a wait may take (60)
set -u
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
stasis=${STASIS:-$root/out/stasis}
work=${STASIS_PROGRAMS_DIR:-/tmp/stasis-programs}
limit=${STASIS_PROGRAMS_LIMIT:-60}

ended_before=75 # how the cage says that there was nothing left to checkpoint at the moment

source "$here/common.bash"

# ---------------------------------------------------------------------------------------------------- outside the cage

main() {
    [[ $# -ge 2 ]] || { sed -n '2,/^set -u/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 64; }
    name=$1 mode=$2 moment=${3:-0}
    case $mode in plain | stay | kill | leave | generations | reference) ;; *) echo "unknown mode $mode" >&2; exit 64 ;; esac
    script=$here/$name.sh
    [[ -f $script && $name != drive ]] || { echo "no scenario $name" >&2; exit 64; }
    needs=
    source "$script"
    local command
    for command in $needs; do
        command -v "$command" >/dev/null || verdict skip "$command is not installed"
    done
    if [[ $mode != plain && $mode != reference ]]; then
        [[ -x $stasis ]] || verdict FAIL "there is no $stasis; ./run build makes it"
    fi

    mkdir -p "$work/$name"
    ensure_reference
    [[ $mode == reference ]] && verdict ok
    [[ $moment != *% ]] || moment=$(awk -v s="$(<"$work/$name/seconds")" -v p="${moment%\%}" 'BEGIN { printf "%.2f", s * p / 100 }')

    local status
    for _ in {1..4}; do
        directory=$work/$name/$mode-$moment
        rm -rf "$directory" "$directory.log"
        mkdir "$directory"
        cp -a "$work/$name/inputs" "$directory/work"
        cp -a "$work/$name/reference" "$directory/reference"
        in_cage "$directory" inside "$name" "$mode" "$moment" >"$directory.log" 2>&1
        status=$?
        if [[ $status -eq 0 ]]; then
            rm -rf "$directory" "$directory.log"
            verdict ok
        fi
        [[ $status -eq $ended_before ]] || break
        # The machine was busier when the moments were chosen.
        rm -rf "$directory" "$directory.log"
        moment=$(awk -v m="$moment" 'BEGIN { printf "%.2f", m / 2 }')
    done
    [[ $status -ne $ended_before ]] || verdict FAIL "the program ended before the moment of the checkpoint"
    echo "---- $directory.log"
    tail -n 60 "$directory.log"
    echo "---- the files are kept in $directory; this repeats it:"
    echo "     STASIS=$stasis $here/drive.sh $name $mode $moment"
    local reason
    reason=$(sed -n 's/^reason: //p' "$directory.log" | tail -n 1)
    [[ -n $reason ]] || reason="ended with status $status while: $(sed -n 's/^step: //p' "$directory.log" | tail -n 1)"
    verdict FAIL "$reason"
}

verdict() { # ok|skip|FAIL [REASON]
    echo "$1 $name $mode $moment${2:+: $2}"
    case $1 in ok) exit 0 ;; skip) exit 75 ;; *) exit 1 ;; esac
}

# The whole cage dies with unshare, and unshare with timeout, so nothing can be left over.
in_cage() { # DIRECTORY STEP NAME MODE MOMENT
    timeout --signal=KILL $((limit * 5)) "$root/tests/cage" "$1" bash /tmp/checkout/tests/programs/drive.sh --in-cage "${@:2}"
}

# Inputs and the uninterrupted run are made once and again only when the scenario changes.
ensure_reference() {
    local key
    key=$(cat "$script" "$here/common.bash" | sha256sum)
    exec 9>"$work/$name/lock"
    flock 9
    if [[ $(cat "$work/$name/key" 2>/dev/null) != "$key" ]]; then
        rm -rf "$work/$name"/{inputs,reference,key,cage}
        mkdir "$work/$name/cage"
        in_cage "$work/$name/cage" prepared "$name" reference 0 >"$work/$name/prepare.log" 2>&1 ||
            { tail -n 20 "$work/$name/prepare.log"; verdict FAIL "could not make the inputs, see $work/$name/prepare.log"; }
        cp -a "$work/$name/cage/work" "$work/$name/inputs"
        in_cage "$work/$name/cage" uninterrupted "$name" reference 0 >"$work/$name/reference.log" 2>&1 ||
            { tail -n 20 "$work/$name/reference.log"; verdict FAIL "the uninterrupted run failed, see $work/$name/reference.log"; }
        mv "$work/$name/cage/work" "$work/$name/reference"
        rm -rf "$work/$name/cage"
        sed -n 's/^seconds: //p' "$work/$name/reference.log" >"$work/$name/seconds"
        echo "$key" >"$work/$name/key"
    fi
    exec 9>&-
}

# ----------------------------------------------------------------------------------------------------- inside the cage

in_cage_main() { # STEP NAME MODE MOMENT
    local step=$1
    name=$2 mode=$3 moment=$4 directory=$PWD script=$here/$2.sh
    source "$script"
    "$step"
}

prepared() {
    set -e
    prepare
}

uninterrupted() {
    local began=$EPOCHREALTIME
    launch
    await "$program"
    wait "$program" || fail "the program ended with status $?"
    awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "seconds: %.2f\n", b - a }'
}

inside() {
    case $mode in
        plain) uninterrupted; compare "the program" ;;
        kill) kill_and_restart ;;
        stay | leave) leave_and_restart ;;
        generations) restart_again_and_again ;;
    esac
    nothing_is_left
}

kill_and_restart() {
    local image=$directory.image
    launch
    reach_moment
    step "checkpoint"
    "$stasis" checkpoint "$program" -o "$image" || failed_checkpoint $?
    reap_killed
    step "restart"
    "$stasis" restart "$image" </dev/null >>stdout.txt 2>restart.stderr.txt &
    program=$!
    await "$program"
    wait "$program"
    local status=$?
    cat restart.stderr.txt
    [[ $status -eq 0 ]] || fail "restart in the foreground ended with status $status"
    compare "the restarted program"
}

leave_and_restart() {
    local image=$directory.image
    launch
    reach_moment
    step "checkpoint --leave-running"
    make_hook
    "$stasis" checkpoint "$program" -o "$image" --leave-running --save-files --hook "$directory.hook" || failed_checkpoint $?
    step "the original goes on to its end"
    await "$program"
    wait "$program" || fail "the original ended with status $? after a checkpoint that left it running"
    compare "the original, left running,"
    [[ $mode == stay ]] && return
    put_files_back
    step "restart --detach"
    "$stasis" restart "$image" --detach --pid-file "$directory.pid" --changed-files rewind </dev/null ||
        fail "restart --detach ended with status $?"
    step "the restarted program goes on to its end"
    await "$(<"$directory.pid")"
    compare "the restarted program"
}

# Each generation is the restarted one before.
restart_again_and_again() {
    local image=$directory.image count=${STASIS_GENERATIONS:-10} generation
    launch
    for ((generation = 1; generation <= count; generation++)); do
        reach_moment
        step "checkpoint $generation"
        rm -rf "$image"
        "$stasis" checkpoint "$program" -o "$image" || failed_checkpoint $?
        if [[ $generation -eq 1 ]]; then reap_killed; else await "$program"; fi
        step "restart $generation"
        "$stasis" restart "$image" --detach --pid-file "$directory.pid" </dev/null || fail "restart $generation ended with status $?"
        [[ $(<"$directory.pid") == "$program" ]] || fail "restarted as $(<"$directory.pid"), was $program"
    done
    step "generation $count goes on to its end"
    await "$program"
    compare "generation $count"
}

# A session of its own, so that the tree is whole in itself.
launch() {
    setsid bash -c 'source "$1/common.bash"; source "$2"; start' start "$here" "$script" </dev/null >stdout.txt 2>stderr.txt &
    program=$!
    step "the program runs as $program"
}

reach_moment() {
    sleep "$moment"
    [[ $(state_of "$program") != [Z-] ]] || exit $ended_before
}

# One of a program that ended well just before it is none. (Of one that was restarted nobody here knows how it ended; its result tells.)
failed_checkpoint() { # STATUS
    if [[ $(state_of "$program") == [Z-] ]] && { [[ ${generation:-1} -gt 1 ]] || wait "$program"; }; then exit $ended_before; fi
    fail "checkpoint ended with status $1"
}

reap_killed() {
    step "the killed program ends"
    await "$program"
    wait "$program" 2>/dev/null
    local status=$?
    [[ $status -eq 137 ]] || fail "after the checkpoint the program ended with status $status, not killed (137)"
}

# Files that the original deletes, replaces or makes after the checkpoint would be a different world for the image. Hard
# links keep every file of the moment alive under its own inode (what was written into them, `rewind` undoes). Those that nobody has open
# are copied: the image knows nothing of what is written into them later. Taken by a hook while the program is frozen. A link changes the
# ctime of a file; what a scenario names in `untouched` is left alone altogether.
make_hook() {
    export -f touched_entries
    export untouched directory
    cat >"$directory.hook" <<'END'
#!/bin/bash
[[ $1 == frozen ]] || exit 0
mkdir -p "$directory.links"
touched_entries | while read -r entry; do cp -alf "$entry" "$directory.links/" || exit 1; done
declare -A open
while read -r file; do open[$file]=yes; done < <(stat -Lc %d:%i /proc/[0-9]*/fd/* /proc/[0-9]*/map_files/* /proc/[0-9]*/exe 2>/dev/null)
cd "$directory.links" || exit 1
find . -type f -printf '%D:%i %p\0' | while read -rd '' file; do
    [[ -n ${open[${file%% *}]-} ]] || printf '%s\0' "${file#* }"
done | tar -c --format=posix --no-recursion --null -T - | tar -xp
END
    chmod +x "$directory.hook"
}

put_files_back() {
    files_put_back=yes
    step "the files of the moment are put back"
    local entry
    touched_entries | while read -r entry; do find "./$entry" ! -type d -delete; done
    cp -al "$directory.links/." . || fail "could not put the files back"
}

touched_entries() {
    local entry
    ls -A | while read -r entry; do [[ " $untouched " == *" $entry "* ]] || echo "$entry"; done
}

compare() { # WHO
    step "compare"
    check || fail "$1 gave another result than the uninterrupted run"
}

nothing_is_left() {
    local entry pid left
    for _ in {1..40}; do
        left=
        for entry in /proc/[0-9]*; do
            pid=${entry#/proc/}
            [[ $pid -eq 1 || $pid -eq $BASHPID || $(state_of "$pid") == [Z-] ]] || left+=" $pid ($(cat "$entry/comm" 2>/dev/null))"
        done
        [[ -z $left ]] && return
        sleep 0.05
    done
    describe_processes
    fail "processes are left behind:$left"
}

# Waits until PID has ended, and shows what everything is waiting for when it does not.
await() { # PID
    local deadline=$((SECONDS + limit))
    while [[ $(state_of "$1") != [Z-] ]]; do
        if ((SECONDS > deadline)); then
            describe_processes
            fail "process $1 has not ended after $limit seconds"
        fi
        sleep 0.02
    done
}

# One letter as in /proc/PID/stat, or - when there is no such process.
state_of() { # PID
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || { echo -; return; }
    stat=${stat##*) }
    echo "${stat%% *}"
}

describe_processes() {
    local task
    echo "processes and threads in the cage (state, kernel function, system call):"
    for task in /proc/[0-9]*/task/[0-9]*; do
        echo "  ${task#/proc/} $(cat "$task/comm") $(state_of "${task##*/}") $(cat "$task/wchan") $(cat "$task/syscall")"
    done 2>/dev/null
}

step() { echo "step: $*"; }

fail() {
    echo "reason: $*"
    local file
    for file in stderr.txt; do
        [[ -s $file ]] && { echo "$file:"; tail -n 15 "$file"; }
    done
    exit 1
}

if [[ ${1:-} == --in-cage ]]; then
    shift
    in_cage_main "$@"
else
    main "$@"
fi
