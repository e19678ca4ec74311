"""A program whose terminal's other side is outside of the tree: checkpointed on one terminal, restarted on another of another size.

    outside.py CASE STASIS

Runs in a cage (see Cage.Script), in a directory of its own. Says "ok", or what is wrong and with which screen.
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tools"))
from terminal import Terminal

stasis = os.path.abspath(sys.argv[2])
here = os.getcwd()
environment = {"PS1": "> ", "HOME": here, "HISTFILE": "/dev/null", "INPUTRC": "/dev/null", "LESS": "", "LESSHISTFILE": "-", "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8"}
shell = ["bash", "--norc", "--noprofile", "-i"]
with open("text", "w") as text:
    text.writelines(f"line {i} of the text\n" for i in range(1, 400))


def fail(why, terminal=None):
    raise SystemExit(f"FAILED: {why}" + (f"\n{terminal.screen.text()}\nunknown: {terminal.screen.unknown}" if terminal else ""))


def tool(*arguments):
    done = subprocess.run([stasis, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        fail(f"stasis {' '.join(arguments)} ended with {done.returncode}: {done.stdout} {done.stderr}")


def pid_of(command):
    for _ in range(200):
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and int(name) != os.getpid() and open(f"/proc/{name}/comm").read().strip() == command:
                    return int(name)
            except OSError:
                pass
        time.sleep(0.05)
    fail(f"there is no {command}")


def await_end(pid):
    for _ in range(200):
        if not os.path.exists(f"/proc/{pid}"):
            return
        time.sleep(0.05)
    fail(f"process {pid} does not end")


def from_shell(rows, columns, *options):
    """A new terminal with a shell in which a person types the restart."""
    terminal = Terminal(shell, rows, columns, environment)
    terminal.wait_for("^>")
    terminal.type(f"{stasis} restart {' '.join(options)} image\n")
    return terminal


def under_shell(keys, command, *options):
    """Starts a program from a shell's prompt, checkpoints it, and restarts it from another shell on a larger terminal."""
    first = Terminal(shell, environment=environment)
    first.wait_for("^>")
    first.type(keys[0] + "\n")
    for pattern, more in keys[1:]:
        first.wait_for(pattern)
        first.keys(more)
    first.settle()
    pid = pid_of(command)
    tool("checkpoint", str(pid), "-o", "image")
    await_end(pid)
    return first, from_shell(30, 100, *options)


def vim(*options):
    _, t = under_shell(["vim -u NONE -N -i NONE -n text", ('"text" 399L', "5Otyped\x1b:echo 'mark'\r"), ("^mark", "")], "vim", *options)
    t.wait_for("^line 24 ")
    if t.screen.cells[4][:5] != list("typed") or "Restarted" in t.screen.text():
        fail("vim has not drawn its screen again", t)
    t.keys(":echo 'second'\r")
    t.wait_for("^second")
    # Stopped and brought back, as a job of the shell that restarted it.
    t.type("\x1a")
    t.wait_for(r"Stopped .*restart.*\n>\Z")
    t.type("stty -a | grep -c -w -- -icanon\n")
    t.wait_for(r"^0\n>\Z")
    t.type("fg\n")
    t.wait_for("^line 24 ")
    t.resize(20, 60)
    t.settle()
    t.keys(":echo 'mark' &lines &columns\r")
    t.wait_for("^mark 20 60")
    t.keys(":w! written\r:cq 5\r")
    t.wait_for(r">\Z")
    t.type("echo status $?; stty -a | grep -c -w -- -icanon\n")
    t.wait_for(r"^status 5\n0\n>\Z")
    if "typed\n" not in open("written").read():
        fail("vim wrote something else")


def vim_in_namespace():
    vim("--new-pid-namespace")


def less():
    _, t = under_shell(["less -M text", ("lines 1-23", "  ")], "less")
    t.wait_for("^(text )?lines 47-75")
    t.keys("q")
    t.wait_for(r">\Z")


def python():
    _, t = under_shell([f"{sys.executable} -I -q", ("^>>>", "import readline\nname = input('who? ')\n"), (r"who\?", "some")], os.path.basename(sys.executable)[:15])
    # The prompt and the half of a line that was typed are there again.
    t.wait_for(r"who\? some\Z")
    t.keys("body\nname\n")
    t.wait_for(r"'somebody'\n>>>\Z")
    t.type("\x04")
    t.wait_for(r"\n>\Z")


def nested_shell():
    """A shell below a shell, with vim in the foreground: it is vim that gets the terminal."""
    _, t = under_shell(["exec 3>&-; bash --norc --noprofile -i", (r">\Z", "echo $$ >pid; vim -u NONE -N -i NONE -n text\r"), ('"text" 399L', ":echo 'mark'\r"), ("^mark", "")], "vim")
    t.keys(":echo 'second'\r")
    t.wait_for("^second")


def bash(terminal):
    """The leader of the terminal's session, with jobs; `terminal` makes the one of the restart."""
    first = Terminal(shell, environment=environment)
    first.wait_for("^>")
    first.keys("PS1='> '; sleep 4000 & sleep 4001 | cat &\n")
    first.wait_for(r">\Z")
    first.keys("cat\n")
    first.wait_for(r"cat\Z")
    first.press_until("\x1a", r"Stopped.*\n>\Z")
    first.keys("vim -u NONE -N -i NONE -n text\n")
    first.wait_for('"text" 399L')
    first.keys("\x1a")
    first.wait_for(r"Stopped.*\n>\Z")
    first.keys("echo half")
    first.settle()
    tool("checkpoint", str(first.pid), "-o", "image")
    first.wait()
    t = terminal()
    # readline has shown the line again
    t.wait_for(r"> echo half\Z")
    t.keys(" and half\n")
    t.wait_for(r"^half and half\n>\Z")
    t.keys("clear; jobs | cut -c1-40; stty size\n")
    t.wait_for(r"Running.*\n.*Running.*\n\[3\]- +Stopped +cat\n\[4\]\+ +Stopped +vim.*\n30 100\n>\Z")
    t.keys("fg %3\n")
    t.wait_for(r"cat\Z")
    t.keys("line\n")
    t.wait_for(r"^line\nline\Z")
    t.keys("\x04sleep 5000\n")
    t.wait_for(r"sleep 5000\Z")
    t.keys("\x03")
    t.wait_for(r">\Z")
    t.keys("fg %4\n")
    t.wait_for("^line 29 ")
    t.resize(20, 60)
    t.settle()
    t.keys(":echo 'mark' &lines &columns\r")
    t.wait_for("^mark 20 60")
    t.keys(":q!\r")
    t.wait_for(r">\Z")
    t.keys("kill %1 %2; wait; exit 7\n")
    return t


def bash_from_shell():
    t = bash(lambda: from_shell(30, 100))
    t.wait_for(r"exit\n>\Z")
    t.keys("echo status $?; stty -a | grep -c -w -- -icanon\n")
    t.wait_for(r"^status 7\n0\n>\Z")


def bash_with_terminal_of_its_own():
    t = bash(lambda: Terminal([stasis, "restart", "image"], 30, 100, environment))
    status = t.wait()
    if status != 7 << 8:
        fail(f"the restart ended with status {status}", t)


def twice():
    """Checkpointed again where it was restarted: on the terminal between the shell's and its own."""
    first = Terminal(shell, environment=environment)
    first.wait_for("^>")
    first.keys("PS1='> '; vim -u NONE -N -i NONE -n text\n")
    first.wait_for('"text" 399L')
    pid = first.pid
    for turn in range(2):
        tool("checkpoint", str(pid), "-o", f"image{turn}")
        await_end(pid) if turn else first.wait()
        os.symlink(f"image{turn}", "image.new")
        os.rename("image.new", "image")
        first = from_shell(30, 100)
        first.wait_for("^line 29 ")
    first.keys(":q!\r")
    first.wait_for(r"\n *>\Z")
    first.keys("stty size; exit\n")
    first.wait_for(r"30 100\nexit\n>\Z")


def stopped(terminal, rounds):
    """Ctrl-Z and fg, again and again: vim has the terminal each time, with the settings that it made."""
    for turn in range(rounds):
        terminal.keys(f":echo 'turn' {turn}\r")
        terminal.wait_for(f"^turn {turn}")
        terminal.type("\x1a")
        terminal.wait_for(r"Stopped .*\n>\Z")
        terminal.type("clear; stty -a | grep -c -w -- -icanon\n")
        terminal.wait_for(r"\A0\n>\Z")
        terminal.type("fg\n")
        terminal.wait_for("^line 18 ")
    terminal.keys(":cq 5\r")
    terminal.wait_for(r">\Z")
    terminal.type("clear; echo status $?; stty -a | grep -c -w -- -icanon\n")
    terminal.wait_for(r"^0\n>\Z")


def stopped_often():
    _, t = under_shell(["vim -u NONE -N -i NONE -n text", ('"text" 399L', "")], "vim")
    t.wait_for("^line 29 ")
    stopped(t, 10)


def run_stopped_often():
    t = Terminal(shell, 30, 120, environment)
    t.wait_for("^>")
    t.keys(f"{stasis} run -- vim -u NONE -N -i NONE -n text\n")
    t.wait_for('"text" 399L')
    stopped(t, 10)


CASES = {name: value for name, value in globals().items() if callable(value) and value.__module__ == "__main__"}
CASES[sys.argv[1]]()
print("ok")
