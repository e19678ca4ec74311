"""A terminal for tests: a program on a real pseudo-terminal, keys typed into it, and the screen that it has drawn.

Only the standard library. The sequences are those that ncurses, vim, less, tmux and screen send to TERM=xterm-256color, screen or linux
(ECMA-48; ctlseqs of xterm). Colours and charsets change no cell, so they are read and forgotten.
"""
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unicodedata

NUMBERS = re.compile(r"\d*")


class Screen:
    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.pending = ""
        self.answers = ""
        self.unknown = []
        self.reset()

    def reset(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.other = None
        self.row = self.column = 0
        self.wrap = False
        self.top, self.bottom = 0, self.rows - 1
        self.saved = (0, 0)
        self.last = " "

    def resize(self, rows, columns):
        self.cells = [(line + [" "] * columns)[:columns] for line in self.cells]
        self.cells = (self.cells + [[" "] * columns for _ in range(rows)])[:rows]
        self.rows, self.columns = rows, columns
        self.top, self.bottom, self.wrap = 0, rows - 1, False
        self.row, self.column = min(self.row, rows - 1), min(self.column, columns - 1)
        self.other = None if self.other is None else [[" "] * columns for _ in range(rows)]

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.cells).rstrip("\n")

    def feed(self, data):
        text = self.pending + self.decoder.decode(data)
        at = 0
        while at < len(text):
            used = self.take(text, at)
            if used == 0:
                break
            at += used
        self.pending = text[at:]

    # One character or sequence; how many characters it has, 0 when it is not complete yet.
    def take(self, text, at):
        char = text[at]
        if char == "\x1b":
            return self.escape(text, at)
        if char == "\n" or char in "\v\f":
            self.line_feed()
        elif char == "\r":
            self.column, self.wrap = 0, False
        elif char == "\b":
            self.column, self.wrap = max(0, self.column - 1), False
        elif char == "\t":
            self.column = min(self.columns - 1, self.column // 8 * 8 + 8)
        elif char >= " " and char != "\x7f":
            self.put(char)
        return 1

    def put(self, char):
        if unicodedata.combining(char):
            return
        if self.wrap:
            self.column, self.wrap = 0, False
            self.line_feed()
        self.cells[self.row][self.column] = self.last = char
        if self.column == self.columns - 1:
            self.wrap = True
        else:
            self.column += 1

    def line_feed(self):
        self.wrap = False
        if self.row == self.bottom:
            self.scroll_up(1)
        elif self.row < self.rows - 1:
            self.row += 1

    def blank(self):
        return [" "] * self.columns

    def scroll_up(self, count, top=None):
        top = self.top if top is None else top
        for _ in range(min(count, self.rows)):
            del self.cells[top]
            self.cells.insert(self.bottom, self.blank())

    def scroll_down(self, count, top=None):
        top = self.top if top is None else top
        for _ in range(min(count, self.rows)):
            del self.cells[self.bottom]
            self.cells.insert(top, self.blank())

    def escape(self, text, at):
        if at + 1 >= len(text):
            return 0
        kind = text[at + 1]
        if kind == "[":
            end = at + 2
            while end < len(text) and not "@" <= text[end] <= "~":
                end += 1
            if end >= len(text):
                return 0
            self.control(text[at + 2:end], text[end])
            return end + 1 - at
        if kind in "]P^_kX":  # strings: to BEL or ST
            end = at + 2
            while end < len(text):
                if text[end] == "\a":
                    return end + 1 - at
                if text[end] == "\x1b" and end + 1 < len(text):
                    return end + 2 - at if text[end + 1] == "\\" else end - at
                end += 1
            return 0
        if kind in "()*+#%":
            return 3 if at + 2 < len(text) else 0
        if kind == "7":
            self.saved = (self.row, self.column)
        elif kind == "8":
            self.row, self.column = self.saved
            self.wrap = False
        elif kind == "M":
            if self.row == self.top:
                self.scroll_down(1)
            else:
                self.row = max(0, self.row - 1)
        elif kind == "D":
            self.line_feed()
        elif kind == "E":
            self.column = 0
            self.line_feed()
        elif kind == "c":
            self.reset()
        elif kind not in "=>Hg":
            self.unknown.append("ESC " + kind)
        return 2

    def control(self, arguments, final):
        private = arguments[:1] if arguments[:1] in "?>=<" else ""
        numbers = [int(n) if n.isdigit() else 0 for n in arguments[len(private):].split(";")]
        first = max(1, numbers[0])
        if private:
            if private == "?" and final in "hl" and any(n in (47, 1047, 1049) for n in numbers):
                self.alternate(final == "h")
            return
        if final not in "mnctqrsu":
            self.wrap = False
        if final == "A":
            self.row = max(self.top if self.row >= self.top else 0, self.row - first)
        elif final in "Be":
            self.row = min(self.bottom if self.row <= self.bottom else self.rows - 1, self.row + first)
        elif final in "Ca":
            self.column = min(self.columns - 1, self.column + first)
        elif final == "D":
            self.column = max(0, self.column - first)
        elif final == "E":
            self.row, self.column = min(self.rows - 1, self.row + first), 0
        elif final == "F":
            self.row, self.column = max(0, self.row - first), 0
        elif final in "G`":
            self.column = min(self.columns, first) - 1
        elif final == "d":
            self.row = min(self.rows, first) - 1
        elif final in "Hf":
            self.row = min(self.rows, first) - 1
            self.column = min(self.columns, max(1, numbers[1] if len(numbers) > 1 else 1)) - 1
        elif final == "J":
            self.erase_display(numbers[0])
        elif final == "K":
            line = self.cells[self.row]
            start, end = (self.column, self.columns) if numbers[0] == 0 else (0, self.column + 1) if numbers[0] == 1 else (0, self.columns)
            line[start:end] = [" "] * (end - start)
        elif final == "L" and self.top <= self.row <= self.bottom:
            self.scroll_down(first, self.row)
        elif final == "M" and self.top <= self.row <= self.bottom:
            self.scroll_up(first, self.row)
        elif final == "@":
            line = self.cells[self.row]
            line[self.column:] = ([" "] * first + line[self.column:])[:self.columns - self.column]
        elif final == "P":
            line = self.cells[self.row]
            line[self.column:] = (line[self.column + first:] + [" "] * first)[-(self.columns - self.column):]
        elif final == "X":
            end = min(self.columns, self.column + first)
            self.cells[self.row][self.column:end] = [" "] * (end - self.column)
        elif final == "S":
            self.scroll_up(first)
        elif final == "T":
            self.scroll_down(first)
        elif final == "b":
            for _ in range(first):
                self.put(self.last)
        elif final == "r":
            self.top = max(1, numbers[0]) - 1
            self.bottom = min(self.rows, numbers[1] if len(numbers) > 1 and numbers[1] else self.rows) - 1
            self.row = self.column = 0
            self.wrap = False
        elif final == "s":
            self.saved = (self.row, self.column)
        elif final == "u":
            self.row, self.column = self.saved
        elif final == "n" and numbers[0] == 6:
            self.answers += f"\x1b[{self.row + 1};{self.column + 1}R"
        elif final not in "mhlcntqg":
            self.unknown.append("CSI " + arguments + final)

    def alternate(self, on):
        if on and self.other is None:
            self.other, self.cells = self.cells, [self.blank() for _ in range(self.rows)]
            self.saved_cursor = (self.row, self.column)
        elif not on and self.other is not None:
            self.cells, self.other = self.other, None
            self.row, self.column = min(self.saved_cursor[0], self.rows - 1), min(self.saved_cursor[1], self.columns - 1)
        self.wrap = False

    def erase_display(self, how):
        if how == 0:
            self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
            below = range(self.row + 1, self.rows)
        elif how == 1:
            self.cells[self.row][:self.column + 1] = [" "] * (self.column + 1)
            below = range(self.row)
        else:
            below = range(self.rows)
        for row in below:
            self.cells[row] = self.blank()


def end_children():
    """Ends and waits for what has come to us as a subreaper."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            for child in children.read().split():
                os.kill(int(child), signal.SIGTERM)
        try:
            os.wait()
        except ChildProcessError:
            return


class Terminal:
    """A command that leads a session of its own on a new pseudo-terminal."""

    def __init__(self, command, rows=24, columns=80, environment=None):
        self.screen = Screen(rows, columns)
        self.raw = b""
        self.ended = None
        size = struct.pack("HHHH", rows, columns, 0, 0)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        os.set_inheritable(master, False)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                for stream in range(3):
                    os.dup2(slave, stream)
                os.closerange(3, 1024)
                # A shell without job control starts what is in the background with these ignored.
                for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
                    signal.signal(number, signal.SIG_DFL)
                variables = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
                for name in ("LINES", "COLUMNS", "TMUX", "STY"):
                    variables.pop(name, None)
                os.execvpe(command[0], command, variables)
            finally:
                os._exit(127)
        os.close(slave)
        self.master = master

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def type(self, text):
        os.write(self.master, text.encode())

    # Reads for at most so long; False when nothing came or all writers are gone.
    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            time.sleep(min(seconds, 0.05))
            return False
        self.raw += data
        self.screen.feed(data)
        if self.screen.answers:
            self.type(self.screen.answers)
            self.screen.answers = ""
        return True

    # Rounds are counted, not seconds: the clock of a program that was restarted has jumped.
    def settle(self, rounds=8, limit=300):
        """Reads until nothing has come for some rounds of 50 ms; the screen."""
        quiet = 0
        while quiet < rounds and limit > 0:
            quiet = 0 if self.read(0.05) else quiet + 1
            limit -= 1
        return self.screen.text()

    def wait_for(self, pattern, rounds=400):
        """Reads until the screen has the pattern, and then is quiet. Ends this program when it never does."""
        for _ in range(rounds):
            if re.search(pattern, self.screen.text(), re.MULTILINE):
                return self.settle(4)
            self.read(0.05)
        raise SystemExit(f"the terminal never shows {pattern!r}:\n{self.screen.text()}")

    def keys(self, text, pause=0.03):
        """Types like a person: one key at a time, with an eye on the screen."""
        for key in text:
            self.type(key)
            for _ in range(3):
                self.read(pause / 3)

    def press_until(self, key, pattern):
        """A key that stops what runs in the foreground is for nobody when it comes before that is there."""
        for _ in range(10):
            self.type(key)
            for _ in range(20):
                self.read(0.05)
                if re.search(pattern, self.screen.text(), re.MULTILINE):
                    return self.settle(4)
        return self.wait_for(pattern)

    def wait(self, rounds=400):
        """The exit status of the command, as waitpid tells it; None when it still runs. Its output is read meanwhile."""
        while self.ended is None and rounds > 0:
            rounds -= 1
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.ended = status
        while self.read(0.02):
            pass
        return self.ended

    def close(self):
        if self.ended is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.ended = -1
        os.close(self.master)
