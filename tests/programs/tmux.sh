# tmux, its server and an attached client in one tree: three panes (a shell with a job, vim, less), a second window, copy mode.
needs="tmux vim less python3"
prepare() {
    make_text 300 8 >text
    cat >keys.py <<'END'
import ctypes, os
from terminal import Terminal, end_children
# The server leaves its parent: it comes to us instead of leaving the tree.
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
environment = {"PS1": "> ", "HOME": "/", "HISTFILE": "/dev/null", "INPUTRC": "/dev/null", "SHELL": "/bin/sh", "LESSHISTFILE": "-", "LC_ALL": "C.UTF-8", "TMPDIR": os.getcwd()}
shell = "bash --norc --noprofile"
t = Terminal(["tmux", "-S", "socket", "-f", "/dev/null", "new", shell], rows=30, columns=100, environment=environment)
t.wait_for("^>")
def prefix(keys):
    t.keys("\x02")
    t.keys(keys)
t.keys("PS1='> '; clear; tmux set -g status-right '' \\; set -g status-interval 0 \\; setw -g automatic-rename off \\; rename-window first\n")
t.settle()
prefix(":split-window -h 'vim -u NONE -N -i NONE -n text'\n")
t.wait_for('"text" 300L')
t.keys("3Otyped in vim\x1b"); t.settle()
t.keys("gg"); t.settle() # what vim shows after a change of its size must not hang on the moment of it
prefix(":split-window -v 'less text'\n")
t.keys("  /z\r"); t.settle()
prefix("o")
t.keys("sleep 4000 &\n"); t.settle()
t.keys("clear; for i in 1 2 3 4 5 6 7 8; do echo turn $i; sleep 0.15; done\n")
screens = [t.wait_for("turn 8[^\n]*\n>")]
t.keys("echo half")
prefix(f"c")
t.settle()
t.keys(f"exec {shell}\n"); t.settle(); t.keys("PS1='> '; clear; echo $((6 * 7)) in window two\n"); t.wait_for("42 in window two")
prefix("n")
t.keys(" a line\n")
screens.append(t.wait_for("^half a line[^\n]*\n>"))
t.resize(35, 110); t.settle()
prefix("[")
t.keys("\x1b[5~"); t.settle()
t.keys("q")
prefix("o"); t.keys(":s/e/E/g\r:echo 'mark' 'one'\r")
screens.append(t.wait_for("mark one"))
prefix(":kill-server\n")
print("ended", t.wait())
end_children()
open("screens.txt", "w").write("\n\f\n".join(screens))
END
}
start() { typist keys.py; }
plain() { sed -E 's/\[([0-9])\] [0-9]+ */[\1] ID /' "$1"; }
check() { same stdout.txt stderr.txt && plain screens.txt >plain && plain ../reference/screens.txt | cmp plain && [[ -s plain ]]; }
