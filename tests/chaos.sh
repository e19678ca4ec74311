#!/bin/bash
# Kills `stasis checkpoint --leave-running` with SIGKILL at random moments, spread evenly over the time that a checkpoint
# takes, and looks each time whether all threads of its target (the victim `checksum`) go on and compute right. After that
# the target is checkpointed, killed, restarted and verified as if nothing had been.
#
#   tests/chaos.sh [--kills 100] [--for 1h]
set -u
tests=$(cd "$(dirname "$0")" && pwd)
if [ "${1-}" = --inside ]; then
  shift
else
  directory=$(mktemp -d /tmp/stasis-chaos.XXXXXX)
  "$tests/cage" "$directory" bash /tmp/checkout/tests/chaos.sh --inside "$@"
  code=$?
  if [ $code -eq 0 ]; then rm -rf "$directory"; else echo "files: $directory"; fi
  exit $code
fi
. "$tests/functions.sh"

kills=100 seconds=0
while [ $# -gt 0 ]; do
  case $1 in
    --kills) kills=$2 ;;
    --for)
      case $2 in
        *h) seconds=$((${2%h} * 3600)) ;;
        *m) seconds=$((${2%m} * 60)) ;;
        *) seconds=${2%s} ;;
      esac
      kills=1000000000
      ;;
    *) failed "no such option: $1" ;;
  esac
  shift 2
done

start_victim checksum
bash "$tests/snapshot.sh" "$pid" | grep -vE ' (State|stat|SigQ|timers)' >before

checkpoint=("$stasis" checkpoint "$pid" -o "$PWD/image" --leave-running)
remove_images() { rm -rf image image.* image-* .image* 2>/dev/null; }

# What the target's threads do, for whoever looks into a failure.
describe() {
  local task
  for task in /proc/"$pid"/task/*; do
    printf '  %s: %s, tracer %s, in call %s\n' "${task##*/}" "$(sed -n 's/^State:\t//p' "$task/status")" \
      "$(sed -n 's/^TracerPid:\t//p' "$task/status")" "$(cat "$task/syscall")"
    sed -n 's/^Sig\(Blk\|Pnd\):/    &/p' "$task/status"
  done
  grep -E 'State|ShdPnd' "/proc/$pid/status"
  cat "/proc/$pid/maps"
}

# How long a checkpoint takes: the longest of five.
longest=0
for i in 1 2 3 4 5; do
  read -r took code <<<"$("$tools/killat" 0 "${checkpoint[@]}" 2>errors)"
  [ "$code" = 0 ] || failed "a checkpoint that nobody disturbed ended with $code: $(cat errors)"
  [ "$took" -gt $longest ] && longest=$took
  remove_images
done
echo "a checkpoint takes up to $longest us"

killed=0 ended=0 complete=0
end=$((SECONDS + seconds))
while [ $((killed + ended)) -lt "$kills" ] && { [ $seconds -eq 0 ] || [ $SECONDS -lt $end ]; }; do
  moment=$(((RANDOM * 32768 + RANDOM) % longest + 1))
  outcome=$("$tools/killat" $moment "${checkpoint[@]}" 2>errors)
  case $outcome in
    killed) killed=$((killed + 1)) ;;
    "ended 0") ended=$((ended + 1)) ;;
    *) failed "kill at $moment us: the checkpoint $outcome" ;;
  esac
  "$tools/beating" cwd/beats 5 >standing || {
    where="kill $killed, at $moment us of $longest"
    if [ ! -e "/proc/$pid/exe" ]; then
      wait "$pid"
      failed "$where: the target is dead, exit code $?: $(cat cwd/result 2>/dev/null)"
    fi
    cat standing
    describe
    failed "$where: the target does not go on"
  }
  [ ! -e cwd/result ] || failed "kill $killed, at $moment us of $longest: $(cat cwd/result)"
  if [ -e image ]; then
    # An image is complete or it is not there.
    tool show image >/dev/null
    [ "$code" -eq 0 ] || failed "kill at $moment us: there is an image, and it is not whole"
    complete=$((complete + 1))
  fi
  remove_images
done
echo "$killed kills ($ended checkpoints were faster), $complete complete images; the target goes on each time"

# What kills left behind in the target is cleared by the next checkpoint.
tool checkpoint "$pid" -o image --leave-running
[ "$code" -eq 0 ] || failed "the checkpoint after the kills ended with $code"
bash "$tests/snapshot.sh" "$pid" | grep -vE ' (State|stat|SigQ|timers)' >after
diff before after >difference || { head -20 difference; failed "something was left in the target"; }
remove_images
tool checkpoint "$pid" -o image
[ "$code" -eq 0 ] || failed "the last checkpoint ended with $code"
await_end "$pid" 5 || failed "the target still runs after the last checkpoint"
tool restart image --detach --pid-file "$PWD/pid"
[ "$code" -eq 0 ] || failed "the restart ended with $code"
"$tools/beating" cwd/beats 5 || failed "the restarted target does not go on"
verify_victim
echo "after that: checkpointed, killed, restarted, verified"
