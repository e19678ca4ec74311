# Functions for scripts that run in a cage (see Cage.Script). The working directory is the scenario's own; $stasis is the
# binary under test. A script ends with the first `failed`.
set -u
here=$(pwd)
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
victims=${STASIS_VICTIMS:-$(dirname "$tests")/out/victims}
tools=${STASIS_TOOLS:-$(dirname "$tests")/out/tools}
stasis=${STASIS:-$(dirname "$tests")/out/stasis}

# What the shell of a person or a test runner leaves open is nobody's business in here.
for fd in /proc/$$/fd/*; do
  fd=${fd##*/}
  # 255 is the script itself.
  [ "$fd" -le 2 ] || [ "$fd" -eq 255 ] || eval "exec $fd>&-"
done

failed() { echo "FAILED: $*"; sed 's/^/  stasis: /' errors 2>/dev/null | head; exit 1; }

# What can't be tested here is no failure, but it is said: the runner counts it as skipped, with this reason.
skip() { echo "skipped: $*"; exit 75; }

needs() { # COMMAND...
  local one
  for one; do command -v "$one" >/dev/null || skip "$one is not installed"; done
}

# tool ARGUMENTS...: runs stasis; $code, and the files output and errors.
tool() {
  echo "stasis $*"
  timeout -k 2 "${STASIS_LIMIT:-90}" "$stasis" "$@" </dev/null >output 2>errors
  code=$?
}

# expect_code N: that it ended so, said it in a line or a few, and showed nothing of its inside.
expect_code() {
  [ "$code" -eq "$1" ] || failed "exit code $code, not $1"
  ! grep -qE '^ +at [A-Za-z]|Unhandled|System\.[A-Z]' errors || failed "it shows a stack trace or names of its inside"
  [ "$1" -eq 0 ] || [ -s errors ] || [ -s output ] || failed "it says nothing"
}

# expect_says PATTERN: in either stream.
expect_says() { grep -qiE -- "$1" errors output || failed "it does not say '$1'"; }

await_file() { # FILE SECONDS
  local tries=$(($2 * 50))
  until [ -s "$1" ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.02
  done
}

await_end() { # PID SECONDS
  local tries=$(($2 * 50))
  while [ -d "/proc/$1" ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.02
  done
}

# await_restarted PID NAME: the victim runs again, and no tool has hold of it.
await_restarted() {
  local tries=1500
  until [ "$(readlink "/proc/$1/exe")" = "$victims/$2" ] && grep -q '^TracerPid:[[:space:]]0$' "/proc/$1/status"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || failed "$2 does not run again after 30 s"
    sleep 0.02
  done 2>/dev/null
}

# expect_processes N: no more than that are left; init may be slow to reap.
expect_processes() {
  local tries=1000 all
  while all=(/proc/[0-9]*) && [ ${#all[@]} -gt "$1" ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || failed "processes are left: $(head -qn1 /proc/[0-9]*/comm | tr '\n' ' ')"
    sleep 0.02
  done
}

start_victim() { # NAME: in ./cwd, its pid in $pid
  [ -x "$victims/$1" ] || failed "there is no victim $1"
  mkdir -p cwd
  (cd cwd && exec setsid "$victims/$1" </dev/null >>out.txt 2>&1) &
  pid=$!
  await_file cwd/ready 30 || failed "$1 is not ready within 30 s"
  [ ! -e cwd/skip ] || skip "$(cat cwd/skip)"
}

verify_victim() {
  echo verify >cwd/verify
  await_file cwd/result 45 || failed "no result within 45 s"
  [ "$(cat cwd/result)" = ok ] || failed "$(cat cwd/result)"
  await_end "$pid" 20 || failed "it did not end"
}
