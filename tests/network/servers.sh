#!/bin/bash
# Servers under load from a client outside, through many checkpoints that leave them running, and many deaths and restarts. The short
# form (three and three) is among the tests.
#
#   tests/network/servers.sh [NAME...] [--checkpoints 1000] [--cycles 200]
#
# One line for each server. One that fails leaves its files, and the line that repeats it. STASIS_LIFE is the least number of seconds that a
# server lives between its deaths (0.1).
set -u
network=$(cd "$(dirname "$0")" && pwd)
tests=$(dirname "$network")
all=(nginx redis redis6 memcached postgresql sshd node kestrel go)
names=() checkpoints=1000 cycles=200
while [ $# -gt 0 ]; do
  case $1 in
    --checkpoints) checkpoints=$2; shift ;;
    --cycles) cycles=$2; shift ;;
    -*) echo "servers: no such option: $1" >&2; exit 64 ;;
    *) [ -e "$network/$1.bash" ] || { echo "servers: no such server: $1 (there are ${all[*]})" >&2; exit 64; }; names+=("$1") ;;
  esac
  shift
done
[ ${#names[@]} -gt 0 ] || names=("${all[@]}")

passed=0 failed=0 skipped=0
for name in "${names[@]}"; do
  directory=$(mktemp -d "/tmp/stasis-server-$name.XXXXXX")
  mkdir "$directory/work"
  printf '. /tmp/checkout/tests/%s\n' functions.sh network/network.bash "network/$name.bash" >"$directory/work/script"
  began=$SECONDS
  STASIS_CHECKPOINTS=$checkpoints STASIS_CYCLES=$cycles \
    timeout -k 5 $((600 + checkpoints * 10 + cycles * 20)) "$tests/cage" "$directory" bash script >"$directory/said" 2>&1
  code=$?
  took="$checkpoints checkpoints, $cycles cycles, $((SECONDS - began)) s"
  case $code in
    0) passed=$((passed + 1)); echo "$name: $(cat "$directory/work/client.txt"), 0 errors, $took"; rm -rf "$directory" ;;
    75) skipped=$((skipped + 1)); echo "$name: $(grep '^skipped: ' "$directory/said")"; rm -rf "$directory" ;;
    *)
      failed=$((failed + 1))
      echo "$name: FAILED after $((SECONDS - began)) s (exit code $code)"
      grep -vE '^stasis (checkpoint|restart) ' "$directory/said" | tail -n 12 | sed 's/^/  /'
      echo "  files:  $directory"
      echo "  repeat: tests/network/servers.sh $name --checkpoints $checkpoints --cycles $cycles"
      ;;
  esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
