# tmux whose panes write as fast as they can: the terminals between are full whenever one looks.
needs="tmux python3"
prepare() {
    cat >keys.py <<'END'
import ctypes, os
from terminal import Terminal, end_children
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
environment = {"PS1": "> ", "HOME": "/", "HISTFILE": "/dev/null", "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8", "TMPDIR": os.getcwd()}
t = Terminal(["tmux", "-S", "socket", "-f", "/dev/null", "new", "bash --norc --noprofile"], environment=environment)
t.wait_for("^>")
t.keys("PS1='> '; clear; tmux set -g status off\n"); t.settle()
t.keys("seq 1 200000 | tee numbers; echo the end of $((3 * 7))\n")
for turn in range(3000):
    t.read(0.05)
    if "the end of 21" in t.screen.text(): break
t.keys("clear; cksum <numbers\n")
print(t.wait_for(r"^\d+ \d+\n>\Z").split("\n")[-2])
t.keys("\x02:kill-server\n")
print("ended", t.wait())
end_children()
END
}
start() { typist keys.py; }
check() { same stdout.txt stderr.txt numbers; }
