#!/bin/bash
# Kills stasis with SIGKILL at random moments, spread evenly over the time that it takes, and looks each time what has become of its target.
#
#   tests/chaos.sh [--kill] [--times N | --for 1h] [--restarts N] [--kind NAME]
#
# --times N (100), --for TIME   so many checkpoints, or for so long, shared out among the kinds
# --restarts N (0)              so many restarts
# --kind NAME                   one kind only: a victim that goes on and checks itself without end (tests/victims/beats.h)
#
# A checkpoint that is killed leaves its target as if nothing had been: all of it goes on and finds everything right; what is left in it the next
# checkpoint takes away; after the last one it is checkpointed, killed, restarted and verified. A restart that is killed leaves nothing, or, at its
# very end, all. The first harm ends it, with what there is to know.
set -u
tests=$(cd "$(dirname "$0")" && pwd)
kinds=(checksum busy_tree busy_signals busy_calls busy_memory)

times=100 seconds=0 restarts=0 inside=
while [ $# -gt 0 ]; do
  case $1 in
    --inside) inside=yes ;;
    --kill) ;;
    --times) times=$2; shift ;;
    --restarts) restarts=$2; shift ;;
    --kind) kinds=("$2"); shift ;;
    --for)
      case $2 in
        *h) seconds=$((${2%h} * 3600)) ;;
        *m) seconds=$((${2%m} * 60)) ;;
        *) seconds=${2%s} ;;
      esac
      times=0
      shift
      ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
  esac
  shift
done

if [ -z "$inside" ]; then
  directory=$(mktemp -d /tmp/chaos.XXXXXX)
  number=${#kinds[@]}
  for kind in "${kinds[@]}"; do
    # So that all together make the number that was asked for.
    share=$((times / number)) again=$((restarts / number))
    times=$((times - share)) restarts=$((restarts - again)) number=$((number - 1))
    "$tests/cage" "$directory/$kind" bash /tmp/checkout/tests/chaos.sh --inside --kind "$kind" --times $share --restarts $again \
      $([ $seconds -eq 0 ] || echo --for $((seconds / ${#kinds[@]}))) || { echo "files: $directory/$kind"; exit 1; }
  done
  rm -rf "$directory"
  echo "nothing was harmed"
  exit 0
fi
. "$tests/functions.sh"
kind=${kinds[0]}
rm -rf cwd image* .image* again
start_victim "$kind"
cd_of_victim=$PWD/cwd

tasks_of() { # PID: the tasks of it and of its descendants
  local task child
  for task in /proc/"$1"/task/*; do
    echo "$task"
    for child in $(cat "$task/children" 2>/dev/null); do tasks_of "$child"; done
  done
}

# What the target's tasks do, for whoever looks into a failure.
describe() {
  local task
  for task in $(tasks_of "$pid"); do
    printf '  %s (%s): %s, tracer %s, in call %s\n' "${task##*/}" "$(cat "$task/comm")" "$(sed -n 's/^State:\t//p' "$task/status")" \
      "$(sed -n 's/^TracerPid:\t//p' "$task/status")" "$(cat "$task/syscall")"
    grep -E '^(SigPnd|ShdPnd|SigBlk)' "$task/status" | sed 's/^/    /'
  done 2>/dev/null
  cat "/proc/$pid/maps"
}

expect_unharmed() { # WHERE
  "$tools/beating" cwd/beats 30 "$pid" >standing || {
    [ -e "/proc/$pid/exe" ] || { wait "$pid"; failed "$1: the target is dead, with code $?: $(cat cwd/result 2>/dev/null)"; }
    cat standing
    describe
    failed "$1: the target does not go on: $(cat cwd/result 2>/dev/null)"
  }
  [ ! -e cwd/result ] || failed "$1: $(cat cwd/result)"
}

# Mappings of ours by their place (LiveMachine.OwnRange), and our hands.
expect_nothing_left() {
  local task
  for task in $(tasks_of "$pid"); do
    ! grep -hE '^15a5[0-9a-f]{8}-' "$task/maps" 2>/dev/null || failed "something was left in the memory of ${task##*/}"
    ! grep -qE '^TracerPid:[[:space:]][1-9]' "$task/status" 2>/dev/null || failed "${task##*/} is traced"
  done
}

longest() { # COMMAND...: microseconds, the longest of three; what undoes it is undo
  local most=0 took
  for _ in 1 2 3; do
    read -r took code <<<"$("$tools/killat" 0 "$@" 2>errors)"
    [ "$code" = 0 ] || failed "$2 ended with $code where nobody disturbed it: $(cat errors)"
    [ "$took" -le $most ] || most=$took
    undo
  done
  echo "$most"
}
moment() { echo $(((RANDOM * 32768 + RANDOM) % $1 + 1)); }

# --- checkpoints

undo() { rm -rf image image.* image-* .image*; }
checkpoint=("$stasis" checkpoint "$pid" -o "$PWD/image" --leave-running)
most=$(longest "${checkpoint[@]}") || { echo "$most"; exit 1; }
killed=0 frozen=0 ended=0 complete=0 end=$((SECONDS + seconds))
while [ $((killed + ended)) -lt "$times" ] || { [ $seconds -gt 0 ] && [ $SECONDS -lt $end ]; }; do
  at=$(moment "$most")
  outcome=$(TARGET=$pid "$tools/killat" "$at" "${checkpoint[@]}" 2>errors)
  case $outcome in
    killed*) killed=$((killed + 1)); [ "$outcome" = killed ] || frozen=$((frozen + 1)) ;;
    "ended 0") ended=$((ended + 1)) ;;
    *) failed "kill at $at us: the checkpoint $outcome: $(cat errors)" ;;
  esac
  expect_unharmed "$kind, kill $killed, at $at us of $most ($outcome)"
  if [ -e image ]; then
    # An image is complete or it is not there.
    tool show image >/dev/null
    [ "$code" -eq 0 ] || failed "kill at $at us: there is an image, and it is not whole"
    complete=$((complete + 1))
  fi
  undo
done
tool checkpoint "$pid" -o image --leave-running
[ "$code" -eq 0 ] || failed "the checkpoint after the kills ended with $code"
expect_nothing_left
expect_unharmed "$kind, after the kills"
undo
echo "$kind: $killed checkpoints killed, $frozen of them in the freeze ($ended were faster; $complete images, all complete); it goes on and is right"

# --- restarts

keep=--changed-files=rewind
tool checkpoint "$pid" -o image --save-files
[ "$code" -eq 0 ] || failed "the last checkpoint ended with $code"
await_end "$pid" 30 || failed "the target still runs after the last checkpoint"
expect_processes 1
end_all() {
  for one in /proc/[0-9]*; do
    one=${one#/proc/}
    [ "$one" -eq $$ ] || [ "$one" -eq $BASHPID ] || kill -KILL "$one"
  done 2>/dev/null
  expect_processes $(($$ == BASHPID ? 1 : 2))
}
# Who sees another's end just before his own says so.
undo() { end_all; rm -f cwd/result; }
restart=("$stasis" restart "$PWD/image" --detach --pid-file "$PWD/pid" "$keep")
if [ "$restarts" -gt 0 ]; then
  most=$(longest "${restart[@]}") || { echo "$most"; exit 1; }
  # Names of sockets that nobody listens at any more are made anew by each restart.
  files_of_victim() { find "$cd_of_victim" ! -type s | sort; }
  files_of_victim >files
  wc -l </proc/self/mounts >mounts
  killed=0 ended=0 whole=0
  while [ $((killed + ended)) -lt "$restarts" ]; do
    at=$(moment "$most")
    outcome=$("$tools/killat" "$at" "${restart[@]}" 2>errors)
    case $outcome in
      killed) killed=$((killed + 1)) ;;
      "ended 0") ended=$((ended + 1)) ;;
      *) failed "kill at $at us of $most: the restart $outcome: $(cat errors)" ;;
    esac
    # All or nothing: what the tool held ends with it, and the kernel takes a moment for that.
    for ((tries = 0; tries < 1500; tries++)); do
      all=(/proc/[0-9]*)
      [ ${#all[@]} -gt 1 ] || break
      if [ "$outcome" != killed ] || grep -qsx "TracerPid:[[:space:]]0" "/proc/$pid/status"; then
        "$tools/beating" cwd/beats 1 >/dev/null && { whole=$((whole + 1)); break; }
      fi
      read -rt 0.02 <> <(:)
    done
    [ $tries -lt 1500 ] || { describe; failed "$kind, restart killed at $at us of $most: half of it is left: $(head -qn1 /proc/[0-9]*/comm | tr '\n' ' ')"; }
    [ ! -e cwd/result ] || failed "$kind, restart killed at $at us of $most: $(cat cwd/result)"
    undo
    [ "$(wc -l </proc/self/mounts)" = "$(cat mounts)" ] || failed "restart killed at $at us of $most: a mount is left"
    diff files <(files_of_victim) || failed "restart killed at $at us of $most: a file is left"
  done
  echo "$kind: $killed restarts killed ($ended were faster); $whole times all of it went on, else nothing was left"
fi
tool restart image --detach --pid-file "$PWD/pid" $keep
[ "$code" -eq 0 ] || failed "the restart ended with $code"
expect_unharmed "$kind, after the restart"
verify_victim
