# Two hosts, as two network namespaces at a bridge, and a third with the client: the server moves with its address from one to the other
# in the midst of a download, which comes whole; nobody on the bridge sees a reset.
three_hosts
head -c 30000000 /dev/urandom >page
python3 "$tests/network/capture.py" >captured.txt 2>&1 &
capture=$!
await_file captured.txt 20 || failed "nothing listens on the bridge"
setsid nsenter --net=/run/netns/first python3 "$tests/network/download.py" serve 10.9.0.1 7300 page </dev/null >server.txt 2>&1 &
server=$!
disown
tries=1500
until on first ss -Hltn "sport = :7300" | grep -q .; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || failed "the server does not listen: $(cat server.txt)"
  sleep 0.02
done
on client timeout 220 python3 "$tests/network/download.py" fetch 10.9.0.1 7300 page progress >client.txt 2>&1 &
client=$!
# One whose connections' time was over long ago: the next checkpoint removes it.
on first nft add table inet stasis-0123456789abcdef
from=first to=second
for ((move = 1; move <= ${STASIS_MOVES:-3}; move++)); do
  # Not before something of it has come since the last move.
  rm -f progress
  await_file progress 60 || failed "the download stands still: $(cat client.txt server.txt)"
  on $from timeout 60 "$stasis" checkpoint "$server" -o image </dev/null >output 2>errors || failed "checkpoint $move"
  await_end "$server" 20 || failed "the server has not ended"
  ! on $from nft list tables | grep -q stasis-0123456789abcdef || failed "an old and empty table is left"
  on $from nft list ruleset | grep -q 'timeout 1d' || failed "what holds the connections has no end: $(on $from nft list ruleset)"
  [ -d /proc/$client ] || failed "the client ended before move $move: $(cat client.txt)"
  move_address $from $to
  on $to timeout 60 "$stasis" restart image --detach </dev/null >output 2>errors || failed "restart $move"
  [ -z "$(on $to nft list ruleset)" ] || failed "packet filter rules are left where it runs: $(on $to nft list ruleset | head -3)"
  rm -rf image
  host=$from from=$to to=$host
done
wait $client || failed "the client: $(cat client.txt)"
cat client.txt
kill -INT $capture
wait $capture || failed "on the bridge: $(cat captured.txt)"
tail -n 1 captured.txt
