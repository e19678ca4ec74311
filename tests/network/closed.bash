# --tcp close: what waits can be read, then both sides hear of a reset, and a client that was not accepted is not there any more; without it a moved
# connection is refused, and such a client too.
own_network
cat >program.py <<'PROGRAM'
import os, socket, sys, time
door = socket.create_server(("10.9.0.1", 7400))
peer = socket.create_connection(("10.9.0.2", 7200))
inner = socket.create_server(("127.0.0.1", 0))
one = socket.create_connection(inner.getsockname())
two, _ = inner.accept()
while not os.path.exists("waits"):
    time.sleep(0.02)
open("started", "w").write("x")
while not os.path.exists("go on"):
    time.sleep(0.02)
words = []
for step in (lambda: peer.recv(100), lambda: peer.recv(100), lambda: peer.recv(100)):
    try:
        words.append(step().decode() or "end")
    except OSError as error:
        words.append(os.strerror(error.errno))
one.sendall(b"inner")
words.append(two.recv(100).decode())
door.settimeout(0.3)
try:
    door.accept()
    words.append("somebody")
except TimeoutError:
    words.append("nobody")
open("result", "w").write(", ".join(words))
PROGRAM
cat >peer.py <<'PROGRAM'
import os, socket, threading, time
listener = socket.create_server(("10.9.0.2", 7200))
open("listening", "w").write("x")
peer, _ = listener.accept()
peer.sendall(b"last words")
waits = socket.create_connection(("10.9.0.1", 7400))
waits.sendall(b"let me in")
open("waits", "w").write("x")
def listen():
    try:
        said = repr(peer.recv(100))
    except OSError as error:
        said = os.strerror(error.errno)
    open("heard", "w").write(said)
threading.Thread(target=listen, daemon=True).start()
while not os.path.exists("go on"):
    time.sleep(0.02)
try:
    waits.sendall(b"hello?")
    said = repr(waits.recv(100))
except OSError as error:
    said = os.strerror(error.errno)
open("told", "w").write(said)
PROGRAM
ip netns exec outside python3 peer.py &
await_file listening 20 || failed "the peer does not listen"
start_server python3 program.py
await_file started 20 || failed "the program did not start: $(cat server.txt)"
tool checkpoint "$server" -o image
expect_code 0
await_end "$server" 5
sleep 0.5
[ ! -e heard ] || failed "the peer heard: $(cat heard)"
ip addr del 10.9.0.1/24 dev here
ip addr add 10.9.0.7/24 dev here
tool restart image --detach --bind address:10.9.0.1=10.9.0.7
expect_code 69
expect_says 'outside of the image and knows it by its old address'
expect_says 'outside of the image and knows us by the old address'
ip addr del 10.9.0.7/24 dev here
ip addr add 10.9.0.1/24 dev here
tool restart image --detach --tcp close
expect_code 0
expect_says '1 TCP connection .*ended'
expect_no_rules
echo >"go on"
await_file result 20 || failed "no result"
[ "$(cat result)" = "last words, Connection reset by peer, end, inner, nobody" ] || failed "$(cat result)"
await_file told 20 || failed "the client that waited was told nothing"
[ "$(cat told)" = "Connection reset by peer" ] || failed "the client that waited: $(cat told)"
