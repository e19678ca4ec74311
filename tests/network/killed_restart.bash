# A restart that is killed leaves the connections held, so that the next one finds them: the client waits, and notices nothing else.
own_network
start_server redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' --appendonly no --daemonize no
await_port 6379
ip netns exec outside timeout 170 python3 "$tests/network/client.py" redis 10.9.0.1 6379 >client.txt 2>&1 &
client=$!
await_begin
echo >deaths
tool checkpoint "$server" -o image
expect_code 0
await_end "$server" 5
tool restart image --detach --bind address:10.9.0.1=10.9.0.9
expect_code 69
# Before its last step, which can't be taken back, it stands still.
printf '#!/bin/sh\n[ "$1" != built ] || exec sleep 1\n' >hook
chmod +x hook
for ((i = 1; i <= ${STASIS_KILLS:-15}; i++)); do
  "$stasis" restart image --detach --hook "$PWD/hook" </dev/null >/dev/null 2>&1 &
  tool_pid=$!
  sleep "$(awk -v i="$i" 'BEGIN { srand(i); print 0.12 * rand() }')"
  kill -KILL $tool_pid 2>/dev/null
  wait $tool_pid 2>/dev/null
  nft list ruleset | grep -q 'table inet stasis-' || failed "a killed restart has let the connections go"
  await_end "$server" 5 || failed "a killed restart left process $server"
done
tool restart image --detach
expect_code 0
expect_no_rules
sleep 1
[ -d /proc/$client ] || failed "the client had ended: $(cat client.txt)"
echo >enough
wait $client || failed "the client: $(cat client.txt)"
cat client.txt
kill "$server"
