# A server that is asked over a new connection each time, so that there nearly always is one that it has not accepted: while it is
# checkpointed and left running, killed and restarted, and while the tool is killed, no client that got through is reset or waits in vain.
own_network
cat >server.py <<'PROGRAM'
import socket, time
listener = socket.create_server(("10.9.0.1", 7300), backlog=128)
while True:
    connection, _ = listener.accept()
    time.sleep(0.002)
    question = connection.recv(100)
    connection.sendall(question[::-1])
    connection.close()
PROGRAM
cat >clients.py <<'PROGRAM'
import os, socket, threading, time
answers, failures, refusals = [0], [], [0]
def ask(number):
    turn = 0
    while not os.path.exists("enough") and not failures:
        turn += 1
        try:
            connection = socket.create_connection(("10.9.0.1", 7300), timeout=60)
        except ConnectionRefusedError: # nobody listens between the end and the restart
            refusals[0] += 1
            time.sleep(0.05)
            continue
        try:
            question = b"%d %d" % (number, turn)
            connection.sendall(question)
            answer = b""
            while more := connection.recv(100):
                answer += more
            if answer != question[::-1]:
                raise OSError(f"the answer {answer}")
            answers[0] += 1
        except OSError as error:
            failures.append(f"client {number}, turn {turn}: {error}")
        connection.close()
threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if failures:
    raise SystemExit("\n".join(failures))
print(f"{answers[0]} answers, refused {refusals[0]} times while nobody listened")
PROGRAM
start_server python3 server.py
await_port 7300
ip netns exec outside timeout 170 python3 clients.py >client.txt 2>&1 &
client=$!
sleep 0.3
for round in 1 2 3; do
  tool checkpoint "$server" -o "left$round" --leave-running
  expect_code 0
  expect_no_rules
  tool checkpoint "$server" -o "killed$round"
  expect_code 0
  await_end "$server" 5 || failed "the server has not ended"
  ! nft list ruleset | grep -q arrivals || failed "new clients are still kept away: $(nft list ruleset | head -3)"
  tool restart "killed$round" --detach --pid-file pid
  expect_code 0
  expect_no_rules
  sleep 0.2
done
for ((i = 1; i <= ${STASIS_KILLS:-6}; i++)); do
  "$stasis" checkpoint "$server" -o "image$i" --leave-running </dev/null >/dev/null 2>&1 &
  tool_pid=$!
  sleep "$(awk -v i="$i" 'BEGIN { srand(i); print rand() * 0.2 }')"
  kill -KILL $tool_pid 2>/dev/null
  wait $tool_pid 2>/dev/null
  sleep 0.2
  expect_no_rules
  rm -rf image$i*
done
[ -d /proc/$client ] || failed "the clients had ended before: $(cat client.txt)"
echo >enough
wait $client || failed "the clients: $(cat client.txt)"
cat client.txt
kill "$server"
