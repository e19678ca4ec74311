# A tool that is killed in the middle of a checkpoint leaves no rule, no connection in repair mode, no helper.
own_network
start_server redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' --appendonly no --daemonize no
await_port 6379
ip netns exec outside timeout 170 python3 "$tests/network/client.py" redis 10.9.0.1 6379 >client.txt 2>&1 &
client=$!
await_begin
# How long a whole one takes, from which the moments are chosen.
began=$EPOCHREALTIME
tool checkpoint "$server" -o whole --leave-running
expect_code 0
whole=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
for ((i = 1; i <= ${STASIS_KILLS:-25}; i++)); do
  "$stasis" checkpoint "$server" -o "image$i" --leave-running </dev/null >/dev/null 2>&1 &
  tool_pid=$!
  sleep "$(awk -v w="$whole" -v i="$i" 'BEGIN { srand(i); print w * rand() * 1.1 }')"
  kill -KILL $tool_pid 2>/dev/null
  wait $tool_pid 2>/dev/null
  sleep 0.2
  expect_no_rules
  rm -rf image$i*
done
[ -d /proc/$client ] || failed "the client had ended before the last kill: $(cat client.txt)"
echo >enough
wait $client || failed "the client: $(cat client.txt)"
cat client.txt
# The pause is at most that of a checkpoint, and a second for the tree and its peers to come back to themselves.
awk -v w="$whole" '{ if ($6 > w + 1.5) exit 1 }' client.txt || failed "an answer took longer than a checkpoint ($whole s) and a second: $(cat client.txt)"
expect_processes 3 # this script, the server, and one that awk or sleep may leave for a moment
kill "$server"
