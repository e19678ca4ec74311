# top and htop on two terminals: they go on drawing and listening, and end well. What they show is never twice the same.
needs="top htop python3"
prepare() {
    cat >keys.py <<'END'
import os, re
from terminal import Terminal
environment = {"HOME": os.getcwd(), "XDG_CONFIG_HOME": os.getcwd()}
top = Terminal(["top", "-d", "0.2"], environment=environment)
htop = Terminal(["htop", "-d", "2"], rows=30, columns=90, environment=environment)
top.wait_for("^ *PID USER")
htop.wait_for("^ *PID")
for turn in range(25):
    for terminal in (top, htop):
        before = len(terminal.raw)
        for _ in range(100):
            terminal.read(0.02)
            if len(terminal.raw) > before: break
        else: raise SystemExit(f"it draws no more:\n{terminal.screen.text()}")
top.resize(20, 70)
htop.resize(25, 70)
top.keys("H")
top.wait_for("^Threads:")
htop.keys("\x1b[15~")
htop.wait_for("^ *PID")
for name, terminal in (("top", top), ("htop", htop)):
    if terminal.screen.unknown: raise SystemExit(f"{name} sends {terminal.screen.unknown}")
    terminal.keys("q")
    print(name, "ended", terminal.wait())
END
}
start() { typist keys.py; }
check() { same stdout.txt stderr.txt && grep -q "^htop ended 0" stdout.txt; }
