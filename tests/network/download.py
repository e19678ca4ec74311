# A file that is sent over one connection, not too fast, and fetched with a look at each piece.
#
#   python3 download.py serve HOST PORT FILE
#   python3 download.py fetch HOST PORT FILE PROGRESS    (PROGRESS is made anew with each piece)
import hashlib
import socket
import sys
import time

PIECE = 256 * 1024
what, host, port, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
with open(name, "rb") as file:
    content = file.read()

if what == "serve":
    listener = socket.create_server((host, port))
    connection, _ = listener.accept()
    for at in range(0, len(content), PIECE):
        connection.sendall(content[at:at + PIECE])
        time.sleep(0.03)
    connection.sendall(hashlib.sha256(content).digest())
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
else:
    connection = socket.create_connection((host, port), timeout=60)
    slowest, came = 0.0, b""
    while True:
        began = time.monotonic()
        piece = connection.recv(65536)
        slowest = max(slowest, time.monotonic() - began)
        if not piece:
            break
        came += piece
        if content[len(came) - len(piece):len(came)] != piece and len(came) <= len(content):
            sys.exit(f"the {len(piece)} bytes before {len(came)} are others")
        with open(sys.argv[5], "w") as progress:
            progress.write(f"{len(came)}\n")
    if came != content + hashlib.sha256(content).digest():
        sys.exit(f"{len(came)} bytes came, not {len(content) + 32}, or others")
    print(f"{len(content)} bytes came whole, the longest wait was {slowest:.2f} s")
