# less on a terminal: pages, searches, a pipe that is still being written to.
needs="less python3"
prepare() {
    make_text 2000 6 >text
    cat >keys.py <<'END'
from terminal import Terminal
t = Terminal(["bash", "--norc", "-c", "{ head -n 1000 text; sleep 1; tail -n 1000 text; echo the very end; } | less -M"], environment={"LESS": "", "LESSHISTFILE": "-"})
screens = [t.wait_for("^lines 1-23")]
for turn in range(12):
    t.keys(" ", 0.08)
screens.append(t.wait_for("^lines 277-299"))
t.keys("/qu\rnnN")
t.settle()
t.keys("500g")
screens.append(t.wait_for("^lines 500-522"))
t.keys("bbu-N\r")
screens.append(t.settle())
t.resize(30, 60)
t.settle()
t.keys("700g")
screens.append(t.wait_for("^ *700 "))
t.keys("G")
screens.append(t.wait_for("the very end"))
t.keys("q")
print("ended", t.wait())
open("screens.txt", "w").write("\n\f\n".join(screens))
END
}
start() { typist keys.py; }
check() { same stdout.txt stderr.txt screens.txt && [[ -s screens.txt ]]; }
