# Another host has another address: what the program has to itself moves there, what outsiders know it by does not.
own_network
cat >program.py <<'PROGRAM'
import os, socket, sys, time
here = sys.argv[1]
listener = socket.create_server((here, 7100))
client = socket.create_connection((here, 7100))
server, _ = listener.accept()
client.sendall(b"on its way")
open("started", "w").write("x")
while not os.path.exists("go on"):
    time.sleep(0.02)
try:
    assert server.recv(100) == b"on its way"
    server.sendall(b"answer")
    assert client.recv(100) == b"answer"
    other = socket.create_connection(listener.getsockname())
    listener.accept()
    open("result", "w").write(" ".join(s.getsockname()[0] for s in (listener, client, server)) + " " + client.getpeername()[0])
except BaseException as error:
    open("result", "w").write(repr(error))
PROGRAM
start_server python3 program.py 10.9.0.1
await_file started 20 || failed "the program did not start: $(cat server.txt)"
tool checkpoint "$server" -o image
expect_code 0
await_end "$server" 5
ip addr del 10.9.0.1/24 dev here
ip addr add 10.9.0.7/24 dev here
tool restart image --detach
expect_code 69
expect_says 'does not have the address 10.9.0.1'
tool restart image --detach --bind address:10.9.0.5=10.9.0.7
expect_code 69
expect_says 'nothing in the image is that'
tool restart image --detach --bind address:10.9.0.1=10.9.0.7
expect_code 0
echo >"go on"
await_file result 20 || failed "no result"
[ "$(cat result)" = "10.9.0.7 10.9.0.7 10.9.0.7 10.9.0.7" ] || failed "$(cat result)"
expect_no_rules
