#!/bin/bash
# Checkpoint, kill and restart, N times over, of every victim that can be and of every real program; the short form of this (three generations of
# the victims and of some programs) is among the tests.
#
#   tests/generations.sh [N]      (10 unless told)
set -u
tests=$(cd "$(dirname "$0")" && pwd)
count=${1:-10} passed=0 failed=0 skipped=0
for source in "$tests"/victims/*.c; do
  victim=$(basename "$source" .c)
  ! grep -qE '^// (refused|scale):' "$source" || continue
  # A terminal of their own, or a person's hand.
  if grep -qE '^// (driven|terminal):' "$source"; then skipped=$((skipped + 1)); echo "skipped $victim: $(grep -oE '^// (driven|terminal):.*' "$source")"; continue; fi
  if timeout 600 "$tests/drive.sh" "$victim" generations "$count"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
said=$("$tests/programs/run-all" --generations "$count" | tee >(cat >&2) | tail -n 1)
read -r programs _ wrong _ missing _ <<<"${said//,/}"
passed=$((passed + programs)) failed=$((failed + wrong)) skipped=$((skipped + missing))
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
