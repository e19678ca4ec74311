# An interactive python: line editing, history, completion, an unfinished block, Ctrl-C.
needs="python3"
prepare() {
    cat >keys.py <<'END'
import sys
from terminal import Terminal
t = Terminal([sys.executable, "-I", "-q"], rows=60, environment={"INPUTRC": "/dev/null", "HOME": "/"})
prompt = r">>>\Z"
def line(text, shows=prompt):
    t.keys(text + "\n")
    return t.wait_for(shows)
t.wait_for(prompt)
line("import readline, time")
line("total = 0")
line("for i in range(20):", r"\.\.\.\s*\Z")
line("    total += i", r"\.\.\.\s*\Z")
line("    time.sleep(0.03)", r"\.\.\.\s*\Z")
t.keys("\n"); t.wait_for(prompt)
line("total", "190\n>>>")
t.keys("print('left' + 'rght')\x1b[D\x1b[D\x1b[D\x1b[D\x1b[Di\n"); t.wait_for("leftright")
t.keys("\x1b[A\x1b[A"); t.settle(); t.keys("\n"); t.settle()
t.keys("while True: pass\n\n"); t.settle(); t.keys("\x03"); t.wait_for("KeyboardInterrupt")
line("name = input('who? ')", r"who\?\s*\Z")
line("nobo", prompt)
line("def f(n):", r"\.\.\.\s*\Z")
line("    return 1 if n < 2 else f(n - 1) + f(n - 2)", r"\.\.\.\s*\Z")
t.keys("\n"); t.wait_for(prompt)
line("[f(n) for n in range(18)][-1], name", r"\(2584, 'nobo'\)")
screen = t.settle()
t.keys("\x04")
print("ended", t.wait())
open("screens.txt", "w").write(screen)
END
}
start() { typist keys.py; }
check() { same stdout.txt stderr.txt screens.txt && grep -q 2584 screens.txt; }
