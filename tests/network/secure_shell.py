# Sessions of ssh into an sshd: a shell at a terminal, commands with their answers, a file on its way down and one on its way up,
# each checked by its hash.
#
#   python3 secure_shell.py HOST PORT KEY
import hashlib
import os
import subprocess
import sys
import time

import score
from score import expect

host, port, key = sys.argv[1:4]
ssh = ["ssh", "-F", "none", "-i", key, "-p", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
       "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]


def session(*options_and_command):
    return subprocess.Popen([*ssh, *options_and_command[:-1], f"root@{host}", options_and_command[-1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def exactly(stream, length):
    data = stream.read(length)
    if len(data) != length:
        score.wrong(f"a session has ended: {len(data)} of {length} bytes came")
    return data


def end(what, process):
    process.stdin.close()
    rest = process.stdout.read()
    expect(rest, b"", f"{what} at its end: ")
    expect(str(process.wait(score.PATIENCE)), "0", f"exit code of {what}: ")


def commands():
    """One shell, a command after the other; each starts processes there."""
    shell = session("bash")
    turn = 0
    while not score.enough():
        began = time.monotonic()
        shell.stdin.write(b"turn=$((turn + 1)); echo $turn $(seq 1 %d | sha256sum | cut -c1-64)\n" % (turn % 2000))
        shell.stdin.flush()
        turn += 1
        wanted = hashlib.sha256(b"".join(b"%d\n" % i for i in range(1, (turn - 1) % 2000 + 1))).hexdigest()
        expect(shell.stdout.readline().decode(), f"{turn} {wanted}\n", "commands: ")
        score.answered(time.monotonic() - began)
        time.sleep(0.05)
    end("the shell", shell)


def terminal():
    """A shell at a terminal, which echoes."""
    shell = session("-tt", "exec bash --norc --noprofile --noediting")
    shell.stdin.write(b"PS1=\n")
    shell.stdin.flush()
    shell.stdin.write(b"echo be''gin\n")
    shell.stdin.flush()
    while not (line := shell.stdout.readline().strip()).endswith(b"begin"):
        if not line and shell.poll() is not None:
            score.wrong("the shell at a terminal has ended")
    turn = 0
    while not score.enough():
        began = time.monotonic()
        turn += 1
        shell.stdin.write(b"echo $((%d + 1000000))\n" % turn)
        shell.stdin.flush()
        expect(shell.stdout.readline().strip(), b"echo $((%d + 1000000))" % turn, "terminal: ")
        expect(shell.stdout.readline().strip(), b"%d" % (turn + 1000000), "terminal: ")
        score.answered(time.monotonic() - began)
        time.sleep(0.05)
    shell.stdin.write(b"exit\n")
    shell.stdin.flush()
    shell.stdout.read()
    expect(str(shell.wait(score.PATIENCE)), "0", "exit code of the shell at a terminal: ")


def download():
    """The same file again and again, without a pause between them."""
    with open("page", "rb") as page:
        wanted = page.read()
    transfer = session(f"while cat {os.getcwd()}/page; do read -t 0.05 || true; done")
    began = time.monotonic()
    while not score.enough():
        at = 0
        while at < len(wanted):
            length = min(65536, len(wanted) - at)
            if exactly(transfer.stdout, length) != wanted[at:at + length]:
                score.wrong(f"download: bytes {at} to {at + length} of the file are others")
            at += length
        score.answered(time.monotonic() - began)
        began = time.monotonic()
    transfer.kill()
    transfer.wait()


def upload():
    """A file that grows there as it is made here; its hash is told every now and then."""
    receiver = session(f"/usr/bin/python3 -u {os.path.dirname(os.path.abspath(__file__))}/receive.py")
    turn = 0
    running = hashlib.sha256()
    while not score.enough():
        began = time.monotonic()
        block = hashlib.sha256(b"%d" % turn).digest() * 8192
        receiver.stdin.write(block)
        receiver.stdin.flush()
        running.update(block)
        turn += 1
        expect(receiver.stdout.readline().decode(), f"{turn} {running.hexdigest()}\n", "upload: ")
        score.answered(time.monotonic() - began)
        time.sleep(0.02)
    end("the upload", receiver)


def anew():
    """A new session for each command."""
    while not score.enough():
        began = time.monotonic()
        one = subprocess.run([*ssh, f"root@{host}", "echo $((6 * 7))"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=score.PATIENCE)
        if "Connection refused" in one.stderr:
            score.refused(one.stderr)
            continue
        expect(f"{one.stdout}{one.stderr}", "42\n", "a new session: ")
        expect(str(one.returncode), "0", "exit code of a new session: ")
        score.answered(time.monotonic() - began)
        time.sleep(0.1)


def main():
    score.side_by_side([commands, terminal, download, upload, anew])
    score.tell()


main()
