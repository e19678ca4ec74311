# PostgreSQL under load: pgbench, and one session with a transaction that is open all the time. At the end pgbench's own check: the
# sums of accounts, tellers, branches and history agree, and history has exactly as many rows as pgbench has had transactions.
#
#   python3 pgbench.py HOST PORT CLIENTS
import glob
import os
import re
import signal
import subprocess
import sys
import time

import score

host, port, clients = sys.argv[1:4]
os.environ.update(PGHOST=host, PGPORT=port, PGUSER="postgres", PGDATABASE="postgres")


class Session:
    """psql, as a person uses it: a line, and its answer."""

    def __init__(self):
        self.psql = subprocess.Popen(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, question):
        began = time.monotonic()
        self.psql.stdin.write(f"{question}\n")
        self.psql.stdin.flush()
        answer = self.psql.stdout.readline().strip()
        score.answered(time.monotonic() - began)
        return answer


def told(file):
    file.seek(0)
    return file.read()[-2000:]


def main():
    session = Session()
    score.expect(session.ask("create table kept(turn int primary key); begin; select 'begun';"), "begun")
    # In simple, extended and prepared form the protocol's messages differ.
    bench = subprocess.Popen(["pgbench", "-n", "-c", clients, "-j", "2", "-M", "prepared", "-R", "100", "-T", "1000000", "--log", "--log-prefix", "transactions"],
                             stdout=(said := open("pgbench.txt", "w+")), stderr=subprocess.STDOUT)
    turn = 0
    while not score.enough():
        if bench.poll() is not None:
            score.wrong(f"pgbench has ended: {told(said)}")
        turn += 1
        score.expect(session.ask(f"insert into kept values ({turn}); select count(*) from kept;"), str(turn))
        time.sleep(0.02)
    # What its own -T does when the time has come.
    bench.send_signal(signal.SIGALRM)
    bench.wait(score.PATIENCE)
    said = told(said)
    if bench.returncode != 0 or "number of failed transactions: 0 " not in said:
        score.wrong(f"pgbench: {said}")
    processed = int(re.search(r"number of transactions actually processed: (\d+)", said)[1])
    # The transaction of before the first checkpoint is still the same.
    score.expect(session.ask("commit; select count(*) || ' ' || sum(turn) from kept;"), f"{turn} {turn * (turn + 1) // 2}")
    history = session.ask("select count(*) from pgbench_history;")
    score.expect(history, str(processed), "rows of history: ")
    sums = session.ask("select (select sum(abalance) from pgbench_accounts) || ' ' || (select sum(tbalance) from pgbench_tellers) || ' ' || "
                       "(select sum(bbalance) from pgbench_branches) || ' ' || (select sum(delta) from pgbench_history);").split()
    if len(set(sums)) != 1 or len(sums) != 4:
        score.wrong(f"the sums of accounts, tellers, branches and history differ: {sums}")
    if not os.path.exists("deaths"):
        deaths = float("inf")
    else:
        deaths = os.stat("deaths").st_mtime
    slowest = [0.0, 0.0]
    lines = 0
    for name in glob.glob("transactions.*"):
        with open(name) as log:
            for line in log:
                words = line.split()
                # With -R the time counts from when the transaction should have begun, and the lag behind that is told last.
                took, lag, ended = int(words[2]) / 1e6, int(words[6]) / 1e6, int(words[4]) + int(words[5]) / 1e6
                phase = 1 if ended > deaths else 0
                slowest[phase] = max(slowest[phase], took - lag)
                lines += 1
    score.expect(str(lines), str(processed), "lines of pgbench's log: ")
    score.counted(processed, slowest)
    score.tell()


main()
