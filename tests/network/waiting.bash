# Two hosts at a bridge, and a third with clients: the server has not accepted them (it is busy) when it moves with its address from one host to the
# other, twice. They have sent something by then, one has closed its side, and one sends more while nobody is there. All are served at last, in their
# order; nobody on the bridge sees a reset.
three_hosts
cat >server.py <<'PROGRAM'
import os, socket, time
listener = socket.create_server(("10.9.0.1", 7300), backlog=16)
open("listening", "w").write("x")
while not os.path.exists("accept"):
    time.sleep(0.02)
for number in range(5):
    connection, _ = listener.accept()
    said = b""
    while not said.endswith(b"\n"):
        said += connection.recv(65536)
    connection.sendall(b"%d: %d bytes, %d\n" % (number, len(said), sum(said)))
    connection.close()
PROGRAM
cat >clients.py <<'PROGRAM'
import os, socket, time
said = [bytes((i * 7 + j) % 255 + 1 for j in range(size)).replace(b"\n", b" ") for i, size in enumerate((1, 100, 30000, 9, 2000))]
clients = []
for number, text in enumerate(said):
    client = socket.create_connection(("10.9.0.1", 7300), timeout=60)
    client.sendall(text if number != 3 else text + b"\n")
    if number == 3:
        client.shutdown(socket.SHUT_WR)
    clients.append(client)
time.sleep(0.1)
open("waiting", "w").write("x")
while not os.path.exists("gone"):
    time.sleep(0.02)
clients[2].sendall(b"more\n") # to nobody, just now
while not os.path.exists("back"):
    time.sleep(0.02)
for number in (0, 1, 4):
    clients[number].sendall(b"\n")
open("asked", "w").write("x")
for number, (client, text) in enumerate(zip(clients, said)):
    print("client", number, flush=True)
    whole = text + (b"more\n" if number == 2 else b"\n")
    answer = b""
    while more := client.recv(100):
        answer += more
    assert answer == b"%d: %d bytes, %d\n" % (number, len(whole), sum(whole)), (number, answer)
print("all five were served")
PROGRAM
python3 "$tests/network/capture.py" >captured.txt 2>&1 &
capture=$!
await_file captured.txt 20 || failed "nothing listens on the bridge"
setsid nsenter --net=/run/netns/first python3 server.py </dev/null >server.txt 2>&1 &
server=$!
disown
await_file listening 20 || failed "the server does not listen: $(cat server.txt)"
on client timeout 120 python3 clients.py >clients.txt 2>&1 &
clients=$!
await_file waiting 20 || failed "the clients do not wait: $(cat clients.txt)"
# Left running, nobody notices.
on first timeout 60 "$stasis" checkpoint "$server" -o left --leave-running </dev/null >output 2>errors || failed "checkpoint, left running"
from=first to=second
for move in 1 2; do
  on $from timeout 60 "$stasis" checkpoint "$server" -o image </dev/null >output 2>errors || failed "checkpoint $move"
  await_end "$server" 20 || failed "the server has not ended"
  if [ $move = 1 ]; then
    echo >gone
    sleep 0.5
  fi
  move_address $from $to
  on $to timeout 60 "$stasis" restart image --detach </dev/null >output 2>errors || failed "restart $move"
  [ -z "$(on $to nft list ruleset)" ] || failed "packet filter rules are left where it runs: $(on $to nft list ruleset | head -3)"
  rm -rf image
  host=$from from=$to to=$host
  sleep 0.7
done
echo >back
await_file asked 20 || failed "the clients: $(cat clients.txt)"
echo >accept
wait $clients || failed "the clients: $(cat clients.txt), the server: $(cat server.txt) $(on $from ss -tanio)"
cat clients.txt
kill -INT $capture
wait $capture || failed "on the bridge: $(cat captured.txt)"
tail -n 1 captured.txt
