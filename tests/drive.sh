#!/bin/bash
# One scenario on one victim, so that a person can repeat by hand what a test did:
#
#   tests/drive.sh VICTIM MODE [DIRECTORY]
#
#   alone          no checkpoint: the victim must pass its own check
#   short          checkpoint --leave-running; checkpoint, which kills it; restart; check: the gate's mode
#   kill           checkpoint, which kills it; restart; check
#   leave          checkpoint --leave-running; the original checks itself and ends; restart of the image; check
#   generations N  checkpoint and restart N times over; /proc must tell the same each time; check
#   refused        check and checkpoint refuse with exit code 69 and name the reason; the victim then checks itself
#
# What a victim needs is told in comments of its source: "// checkpoint: OPTIONS", "// restart: OPTIONS" (only used in
# mode leave), "// refused: TEXT", "// snapshot: no REASON", "// once: REASON" (no more than one checkpoint), "// scale: WHAT", "// driven: by WHOM" (not by this),
# "// huge pages: N" (as many of 2 MiB more than else may be had while the scenario lasts), "// tier: long REASON". Everything
# happens in a cage (tests/cage), so that no id is taken at a restart and nothing outlives the scenario.
set -u
tests=$(cd "$(dirname "$0")" && pwd)
home=$(dirname "$tests")
stasis=${STASIS:-$home/out/stasis}
victims=${STASIS_VICTIMS:-$home/out/victims}
tools=${STASIS_TOOLS:-$home/out/tools}
# The most memory that stasis may take for itself, in KiB.
most_memory=204800

if [ "${1-}" = --inside ]; then
  shift
else
  [ $# -ge 2 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 64; }
  # "generations 10" is one mode of two words.
  if [ "$2" = generations ]; then mode="generations ${3:-3}"; directory=${4-}; else mode=$2; directory=${3-}; fi
  [ -n "$directory" ] || directory=$(mktemp -d "/tmp/stasis-$1.XXXXXX")
  "$tests/cage" "$directory" bash /tmp/checkout/tests/drive.sh --inside "$1" "$mode" || { echo "files: $directory"; exit 1; }
  rm -rf "$directory"
  exit
fi

victim=$1 directory=$PWD
read -r mode count <<<"$2"
log=$directory/log
exec 3>>"$log"
# A pause without a child process: reading from a pipe that nobody writes to.
exec 4<> <(:)
nap() { read -rt "$1" -u 4; true; }

note() { printf '%s\n' "$*" >&3; }
failed() {
  printf 'FAILED %s %s: %s\n  repeat: tests/drive.sh %s %s\n' "$victim" "$mode" "$*" "$victim" "$mode${count:+ $count}"
  [ -s "$directory/errors" ] && sed 's/^/  stasis: /' "$directory/errors" | head -20
  [ -s "$directory/errors" ] || [ ! -s "$directory/output" ] || sed 's/^/  stasis: /' "$directory/output" | tail -n 10
  [ -s "$directory/cwd/out.txt" ] && sed 's/^/  victim: /' "$directory/cwd/out.txt" | head -5
  # A victim that failed before it was asked is gone, and stasis says only that.
  [ -s "$directory/cwd/result" ] && sed 's/^/  victim: /' "$directory/cwd/result" | head -5
  exit 1
}
option() { sed -n "s|^// $1: *||p" "$tests/victims/$victim.c" | head -1; }

await_file() { # FILE SECONDS
  local tries=$(($2 * 100))
  until [ -s "$1" ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    nap 0.01
  done
}

# A victim that fails before it is ready says why, and is not waited for.
await_ready() { # SECONDS
  local tries=$(($1 * 100))
  until [ -s cwd/ready ]; do
    [ ! -s cwd/result ] || failed "the victim failed before it was ready: $(cat cwd/result)"
    tries=$((tries - 1))
    [ $tries -gt 0 ] || failed "not ready within $1 s"
    nap 0.01
  done
}

await_end() { # PID SECONDS
  local tries=$(($2 * 100))
  while [ -d "/proc/$1" ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    nap 0.01
  done
}

# Nobody but this script, which is the cage's init, is left: all ids are free.
await_empty() { # SECONDS
  local tries=$(($1 * 100)) all
  while all=(/proc/[0-9]*) && [ ${#all[@]} -gt 1 ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    nap 0.01
  done
}

tool() { # runs stasis with a limit; its exit code is in $code
  note "stasis $*"
  # Its input is not ours, and it must not see the descriptors of this script.
  timeout -k 2 "${STASIS_LIMIT:-90}" "$tools/peak" "$directory/peak" "$stasis" "$@" </dev/null >"$directory/output" 2>"$directory/errors" 3>&- 4>&-
  code=$?
  note "exit $code: $(cat "$directory/errors")"
  peak=$(cat "$directory/peak" 2>/dev/null || echo 0)
  [ "$peak" -le $most_memory ] || failed "stasis $1 took $peak KiB of memory for itself"
  [ $code -eq 0 ]
}

start() {
  rm -rf cwd image* ./*.snapshot output errors
  mkdir cwd
  (
    cd cwd || exit
    for fd in /proc/$BASHPID/fd/*; do
      fd=${fd##*/}
      [ "$fd" -le 2 ] || eval "exec $fd>&-"
    done
    exec setsid "$victims/$victim" </dev/null >>out.txt 2>&1
  ) &
  pid=$!
  # Without this bash reports each job that was killed. It still reaps it.
  disown 2>/dev/null
  await_ready 30
  if [ -e cwd/skip ]; then
    echo "skipped: $(cat cwd/skip)"
    exit 75
  fi
}

restart() { # IMAGE OPTIONS...
  rm -f pid
  tool restart "$@" --detach --pid-file "$directory/pid" || failed "restart ended with $code"
  local old=$pid
  pid=$(cat pid) || failed "restart left no pid file"
  [ "$pid" = "$old" ] || failed "restarted as pid $pid, was $old"
}

verify() { # WHO
  echo verify >cwd/verify
  await_file cwd/result 45 || failed "$1 gave no result within 45 s; state $(sed -n 's/^State:\t//p' /proc/$pid/status 2>&1), in call $(cat /proc/$pid/syscall 2>&1)"
  [ "$(cat cwd/result)" = ok ] || failed "$1: $(cat cwd/result)"
  await_end "$pid" 20 || failed "$1 did not end"
}

# The kernel may make this many huge pages more, or fewer again: on demand, so that nothing is taken from anybody. Two scenarios may do so at once.
allow_huge_pages() { # N
  local file=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages
  [ -w $file ] || return 0
  (
    flock 9
    read -r now <&9
    echo $((now + $1)) >$file
  ) 9<$file 2>/dev/null
}
huge_pages=$(option 'huge pages')
if [ -n "$huge_pages" ]; then
  allow_huge_pages "$huge_pages"
  trap 'allow_huge_pages -$huge_pages' EXIT
fi

snapshot() { [ -n "$(option snapshot)" ] || bash "$tests/snapshot.sh" "$pid" >"$1.snapshot" 2>>"$log"; }
compare() { # A B WHAT
  [ -n "$(option snapshot)" ] || diff "$1.snapshot" "$2.snapshot" >"$2.difference" ||
    { head -20 "$2.difference" | cut -c1-220; failed "/proc tells something else $3"; }
}

case $mode in
  alone)
    start
    verify "the victim alone"
    ;;
  kill | short)
    start
    snapshot before
    if [ $mode = short ] && [ -z "$(option once)" ]; then
      tool checkpoint "$pid" -o "$directory/image" --leave-running $(option checkpoint) || failed "checkpoint --leave-running ended with $code"
      snapshot left
      compare before left "after a checkpoint with --leave-running"
      rm -rf image
    fi
    tool checkpoint "$pid" -o "$directory/image" $(option checkpoint) || failed "checkpoint ended with $code"
    await_empty 30 || failed "after the checkpoint there still is: $(echo /proc/[0-9]*)"
    restart "$directory/image"
    snapshot after
    verify "the restarted victim"
    compare before after "after the restart"
    ;;
  leave)
    start
    snapshot before
    tool checkpoint "$pid" -o "$directory/image" --leave-running $(option checkpoint) || failed "checkpoint ended with $code"
    snapshot left
    verify "the original after its checkpoint"
    compare before left "after a checkpoint with --leave-running"
    await_empty 30 || failed "after the end of the original there still is: $(echo /proc/[0-9]*)"
    rm -f cwd/verify cwd/result
    restart "$directory/image" $(option restart)
    verify "the restarted victim"
    ;;
  generations)
    start
    snapshot 0
    for ((i = 1; i <= ${count:-3}; i++)); do
      tool checkpoint "$pid" -o "$directory/image$i" $(option checkpoint) || failed "checkpoint $i ended with $code"
      await_empty 30 || failed "after checkpoint $i there still is: $(echo /proc/[0-9]*)"
      restart "$directory/image$i"
      snapshot $i
      rm -rf "$directory/image$((i - 1))"
    done
    verify "generation ${count:-3}"
    for ((i = 1; i <= ${count:-3}; i++)); do compare 0 $i "in generation $i"; done
    ;;
  refused)
    start
    words=$(option refused)
    snapshot before
    for verb in "check $pid" "checkpoint $pid -o $directory/image"; do
      tool $verb
      [ $code -eq 69 ] || failed "stasis $verb ended with $code, not 69"
      grep -qiE -- "$words" errors output || failed "stasis $verb does not say '$words'"
      ! grep -qE '^ +at [A-Z]|Unhandled' errors || failed "stasis $verb shows a stack trace"
      [ ! -e image ] || failed "a refused checkpoint left an image"
    done
    snapshot after
    verify "the refused victim"
    compare before after "after a refusal"
    ;;
  *)
    echo "no such mode: $mode" >&2
    exit 64
    ;;
esac
echo "ok $victim $mode"
