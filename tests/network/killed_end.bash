# A tool that is killed while it ends the tree, when the image is there: either the tree goes on as if nothing had been, or it is gone
# and its connections are held until the restart. Nothing in between: no client hears of an end.
own_network
start_server redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' --appendonly no --daemonize no
await_port 6379
ip netns exec outside timeout 220 python3 "$tests/network/client.py" redis 10.9.0.1 6379 >client.txt 2>&1 &
client=$!
await_begin
echo >deaths
gone=0
for ((i = 1; i <= ${STASIS_KILLS:-10}; i++)); do
  rm -rf image .image*
  # The end begins when the image has its name.
  outcome=$("$tools/killafter" image $((RANDOM % ${STASIS_WITHIN:-6000})) "$stasis" checkpoint "$server" -o image 2>errors)
  [[ $outcome =~ ^(killed|ended 0)$ ]] || failed "the checkpoint $outcome"
  nap 0.2
  if [ -d "/proc/$server" ] && ! grep -q '^State:.Z' "/proc/$server/status"; then
    expect_no_rules
  else
    gone=$((gone + 1))
    tool restart image --detach
    expect_code 0
    expect_no_rules
  fi
  sleep 0.1
  [ -d /proc/$client ] || failed "the client has ended after kill $i: $(cat client.txt)"
done
echo >enough
wait $client || failed "the client: $(cat client.txt)"
echo "gone with the tool $gone times; $(cat client.txt)"
kill "$server"
