# python3 writing with sqlite3: two databases, one with a write-ahead log (a file mapped shared, record locks), one with a
# journal that stays (a file written, synced and cut for each transaction).
needs=$python
prepare() {
    cat >database.py <<'END'
import sqlite3, time

ahead = sqlite3.connect("ahead.db", isolation_level=None)
ahead.execute("pragma journal_mode=wal")
ahead.execute("pragma wal_autocheckpoint=200")
journal = sqlite3.connect("journal.db", isolation_level=None)
journal.execute("pragma journal_mode=truncate")
for base in ahead, journal:
    base.execute("pragma synchronous=off")
    base.execute("create table entries(id integer primary key, text text, number real)")
    base.execute("create index by_text on entries(text)")
state = 1
for turn in range(850):
    for base in ahead, journal:
        base.execute("begin immediate")
        for n in range(30):
            state = state * 1103515245 + 12345 & 0x7fffffff
            base.execute("insert into entries(text, number) values(?, ?)", ("%08x" % state * 4, state / 7))
        base.execute("update entries set number = number + 1 where id % 97 = ?", (turn % 97,))
        base.execute("commit")
for base in ahead, journal:
    print(base.execute("pragma integrity_check").fetchone()[0])
    print(base.execute("select count(*), sum(number), min(text), max(text) from entries").fetchone())
    for row in base.execute("select * from entries where id % 50 = 0 order by id"): print(*row)
    base.close()
END
}
start() { exec "$python" database.py; }
check() { same stdout.txt stderr.txt journal.db && none_left ahead.db-wal; }
