# vim on a terminal: text typed key by key, commands, a macro, a split, a search; the screens and the written file.
needs="vim python3"
prepare() {
    make_text 300 5 >text
    cat >keys.py <<'END'
import os
from terminal import Terminal
t = Terminal(["vim", "-u", "NONE", "-N", "-i", "NONE", "-n", "text"], environment={"TMPDIR": os.getcwd()})
screens = [t.wait_for("^~?.*1,1|text\" 300L")]
t.keys("5GOtyped by a person\nwith two lines")
t.wait_for("^with two lines")
t.keys("\x1b")
t.wait_for(r"^\S.*\n(?s:.*)(?<!INSERT --)\Z")
t.keys(":2,4d\r/zz\rqaA ends\x1bjq5@a")
t.keys(":echo 'mark' 'one'\r")
screens.append(t.wait_for("^mark one"))
t.keys(":split\r\x17jG:set number\r")
screens.append(t.wait_for("^ *299 "))
t.keys("ggdd:1,20sort\r:echo 'mark' 'two'\r")
screens.append(t.wait_for("^mark two"))
t.resize(30, 70)
t.keys(":echo 'mark' 'three'\r")
screens.append(t.wait_for("^mark three"))
t.keys(":w! written\r:qa!\r")
print("ended", t.wait())
open("screens.txt", "w").write("\n\f\n".join(screens))
END
}
start() { typist keys.py; }
check() { same stdout.txt stderr.txt screens.txt written && [[ -s screens.txt ]]; }
