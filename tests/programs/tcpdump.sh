# tcpdump, which reads packets from a ring that it shares with the kernel, and a sender beside it in the same tree: every packet is told, once and in order.
needs=tcpdump
prepare() { :; }
start() {
    exec "$python" - <<'EOF'
import socket, subprocess, time

here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind(("127.0.0.1", 0))
port = here.getsockname()[1]
capture = subprocess.Popen(["tcpdump", "-Z", "root", "-i", "lo", "-n", "-t", "-l", "-q", "udp", "dst", "port", str(port)], stdout=open("told", "w"), stderr=subprocess.PIPE, text=True)
while "listening" not in capture.stderr.readline():
    pass
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
count = 600
for number in range(count):
    sender.sendto(bytes(number), ("127.0.0.1", port))
    here.recv(2000)
    time.sleep(0.003)
until = time.monotonic() + 20
while time.monotonic() < until and open("told").read().count("\n") < count:
    time.sleep(0.05)
capture.terminate()
capture.wait()
for line in open("told"):
    if line.strip():
        print(line.split()[-1])
EOF
}
check() { same stdout.txt && [ "$(tail -n 1 stdout.txt)" = 599 ]; }
