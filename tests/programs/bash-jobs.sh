# An interactive bash: line editing and history, jobs in the background, stopped, brought back and interrupted.
needs="python3"
prepare() {
    cat >keys.py <<'END'
from terminal import Terminal
t = Terminal(["bash", "--norc", "--noprofile", "-i"], rows=50, environment={"PS1": "> ", "HISTFILE": "/dev/null", "INPUTRC": "/dev/null", "HOME": "/"})
prompt = r">\Z"
def command(text, shows=None):
    t.keys(text + "\n")
    return t.wait_for(shows or prompt)
t.wait_for(prompt)
command("PS1='> '; set -b; stty -echoctl")
command("sleep 4000 & sleep 4001 | cat &")
t.keys("cat\n"); t.keys("one line\n")
t.wait_for("one line\none line")
t.keys("half a li"); t.settle()
t.keys("ne\n"); t.wait_for("half a line\nhalf a line")
t.keys("\x1a"); t.wait_for(prompt)
command("jobs | cut -c1-60", r"Stopped +cat\n>\Z")
t.keys("echo edited\x01\x1bf\x1b[D\x1b[Dx\x05 line\x1bb\x1bd\x19\n")
t.wait_for("^echxo|edixted|xed|command not found|line")
t.keys("\x1b[A\x1b[A\x01# "); t.settle(); t.keys("\n")
command("fg", r"cat\Z")
t.keys("still there\n"); t.wait_for("still there\nstill there")
t.keys("\x04"); t.wait_for(prompt)
command("trap 'echo got int' INT")
t.keys("sleep 5000\n"); t.settle(); t.keys("\x03"); t.wait_for(prompt)
command("(trap 'echo resumed' CONT; while :; do sleep 0.05; done)", r"done\)\Z")
t.press_until("\x1a", prompt)
command("kill -CONT %3; sleep 0.3; kill %3; sleep 0.2; jobs | cut -c1-60", r">\Z")
command("kill %1; wait %1; echo status $?", r"status 143\n>\Z")
command("for i in 1 2 3 4 5; do echo turn $i; sleep 0.2; done", r"turn 5\n>\Z")
screen = command("kill %2; wait; jobs; echo $((6 * 7)) jobs left: $(jobs -p | wc -l)", "42 jobs left: 0")
t.keys("exit 3\n")
print("ended", t.wait())
open("screens.txt", "w").write(screen)
END
}
start() { typist keys.py; }
# Ids of processes and when a notice comes are not the program's to decide.
plain() { sed -E 's/^\[([0-9])\] [0-9]+$/[\1] ID/; /^\[[0-9]\][-+ ]+(Terminated|Running|Stopped|Done|Interrupt)/d; /^$/d' "$1"; }
check() {
    same stdout.txt stderr.txt && plain screens.txt >plain && plain ../reference/screens.txt | cmp plain && grep -q "42 jobs left: 0" plain
}
