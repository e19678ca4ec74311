# A client that is no part of the tree and knows nothing of checkpoints: it checks every answer, and fails at the first that is wrong,
# late or missing. It keeps some connections open all the time, and has one that is a new one each time.
#
#   python3 client.py PROTOCOL HOST PORT [CONNECTIONS]
import hashlib
import os
import socket
import sys
import time

import score
from score import expect


class Connection:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=score.PATIENCE)
        self.waiting = b""

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            score.wrong(f"the server has closed the connection from {self.socket.getsockname()}")
        self.waiting += data

    def line(self):
        while b"\r\n" not in self.waiting:
            self.more()
        line, self.waiting = self.waiting.split(b"\r\n", 1)
        return line

    def exactly(self, length):
        while len(self.waiting) < length:
            self.more()
        data, self.waiting = self.waiting[:length], self.waiting[length:]
        return data

    def nothing_more(self):
        """An answer too many would stand here."""
        expect(self.waiting, b"")


def value(number, turn):
    return hashlib.sha256(b"%d %d" % (number, turn)).hexdigest().encode() * (1 + turn % 700)


def redis(connection, number, turn):
    def command(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    key, text = b"key%d:%d" % (number, turn % 50), value(number, turn)
    # Four in one go: the answers come in order.
    connection.send(command(b"SET", key, text) + command(b"GET", key) + command(b"INCR", b"count%d" % number) + command(b"GET", b"key%d:%d" % (number, (turn + 1) % 50)))
    expect(connection.line(), b"+OK")
    expect(connection.line(), b"$%d" % len(text))
    expect(connection.exactly(len(text) + 2), text + b"\r\n")
    expect(connection.line(), b":%d" % (turn + 1))
    # What was written 49 turns ago is read back.
    if turn < 49:
        expect(connection.line(), b"$-1")
    else:
        text = value(number, turn - 49)
        expect(connection.line(), b"$%d" % len(text))
        expect(connection.exactly(len(text) + 2), text + b"\r\n")


def memcached(connection, number, turn):
    key, text = b"key%d" % number, value(number, turn)
    count = b"incr count%d 1\r\n" % number if turn else b"set count%d 0 0 1\r\n0\r\n" % number
    connection.send(b"set %s 0 0 %d\r\n%s\r\nget %s\r\n" % (key, len(text), text, key) + count)
    expect(connection.line(), b"STORED")
    expect(connection.line(), b"VALUE %s 0 %d" % (key, len(text)))
    expect(connection.exactly(len(text) + 2), text + b"\r\n")
    expect(connection.line(), b"END")
    expect(connection.line(), b"%d" % turn if turn else b"STORED")


def body(connection):
    expect(connection.line(), b"HTTP/1.1 200 OK")
    length = None
    while line := connection.line():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    if length is None:
        score.wrong("an answer without a length")
    return connection.exactly(length)


def http(connection, number, turn):
    """A page, as a file."""
    connection.send(b"GET /page HTTP/1.1\r\nHost: there\r\n\r\n")
    expect(hashlib.sha256(body(connection)).hexdigest().encode(), page_hash)


def count(connection, number, turn):
    """A program that answers with the caller's number, how many requests it has had from it, and the hash of what was sent."""
    texts = [value(number, turn * 3 + i) for i in range(3)]
    connection.send(b"".join(b"POST /%d HTTP/1.1\r\nHost: there\r\nContent-Length: %d\r\n\r\n" % (number, len(text)) + text for text in texts))
    for i, text in enumerate(texts):
        expect(body(connection), b"%d %d %s" % (number, turn * 3 + i + 1, hashlib.sha256(text).hexdigest().encode()))


page_hash = b""


def timed(turn_of, connection, number, turn):
    began = time.monotonic()
    turn_of(connection, number, turn)
    connection.nothing_more()
    score.answered(time.monotonic() - began)
    time.sleep(0.003)


def main():
    global page_hash
    protocol, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 4
    turn_of = globals()[protocol]
    if protocol == "http":
        with open("page", "rb") as page:
            page_hash = hashlib.sha256(page.read()).hexdigest().encode()

    def kept(number):
        connection = Connection(host, port)
        turn = 0
        while not score.enough():
            timed(turn_of, connection, number, turn)
            turn += 1

    def anew():
        turn = 0
        began = time.monotonic()
        while not score.enough():
            try:
                connection = Connection(host, port)
            except ConnectionRefusedError as error:
                score.refused(error)
                continue
            score.connected(time.monotonic() - began)
            timed(turn_of, connection, 2000, turn)
            connection.socket.close()
            turn += 1
            began = time.monotonic()

    idle = Connection(host, port)
    conversations = [lambda number=number: kept(number) for number in range(count)]
    score.side_by_side(conversations + [anew])
    # One that said nothing in all this time is still good.
    timed(turn_of, idle, 1000, 0)
    score.tell()


main()
