# GNU screen with a hardstatus line and a split: a shell, vim, a scroll region, detached and attached again.
needs="screen vim python3"
prepare() {
    make_text 300 9 >text
    cat >screenrc <<'END'
startup_message off
autodetach on
defscrollback 500
hardstatus alwayslastline "%H window %n %t"
shelltitle shell
vbell off
END
    sed -i 's/%H //' screenrc
    cat >keys.py <<'END'
import ctypes, os
from terminal import Terminal, end_children
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
os.makedirs("sockets", 0o700, exist_ok=True)
environment = {"PS1": "> ", "HOME": "/", "HISTFILE": "/dev/null", "INPUTRC": "/dev/null", "SHELL": "/bin/sh", "SCREENDIR": os.path.abspath("sockets"), "LC_ALL": "C.UTF-8", "TMPDIR": os.getcwd()}
attach = ["screen", "-c", "screenrc", "-S", "test"]
t = Terminal(attach + ["bash", "--norc", "--noprofile"], environment=environment)
def prefix(keys):
    t.keys("\x01")
    t.keys(keys)
t.wait_for("^>")
t.keys("PS1='> '; clear; sleep 4000 &\n"); t.settle()
# A scroll region: the first and the last lines stay.
t.keys("printf '\\033[5;10r\\033[10;1H'; for i in 1 2 3 4 5 6 7 8 9; do echo turn $i; sleep 0.15; done\n")
screens = [t.wait_for("turn 9\n>")]
t.keys("printf '\\033[r'; clear\n"); t.settle()
prefix(":screen vim -u NONE -N -i NONE -n text\n")
t.wait_for('"text" 300L')
t.keys("3Otyped in vim\x1b:echo 'mark' 'one'\r")
screens.append(t.wait_for("^mark one"))
prefix("S"); prefix("\t"); prefix("0")
t.keys("echo half"); t.settle()
prefix(":detach\n")
print("detached", t.wait())
t = Terminal(["screen", "-r", "test"], rows=30, columns=90, environment=environment)
t.wait_for("window")
t.keys("\x15echo $((6 * 7)) again\n")
screens.append(t.wait_for("^42 again\n>"))
prefix(":quit\n")
print("ended", t.wait())
end_children()
open("screens.txt", "w").write("\n\f\n".join(screens))
END
}
start() { typist keys.py; }
plain() { sed -E 's/\[([0-9])\] [0-9]+ */[\1] ID /' "$1"; }
check() { same stdout.txt stderr.txt && plain screens.txt >plain && plain ../reference/screens.txt | cmp plain && [[ -s plain ]]; }
