# python3 with threads: a queue, locks and timed waits (futexes with time-outs), hashing that leaves the interpreter lock.
needs=$python
prepare() {
    cat >threads.py <<'END'
import hashlib, queue, threading, time

tasks, results, lock = queue.Queue(8), {}, threading.Lock()

def worker():
    while True:
        try:
            n = tasks.get(timeout=0.05)
        except queue.Empty:
            continue
        if n is None:
            return
        digest = b"%d" % n
        for _ in range(6):
            digest = hashlib.sha256(digest * 40000).digest()
        total = sum(i * i % 7 for i in range(20000))
        with lock:
            results[n] = digest.hex() + str(total)

threads = [threading.Thread(target=worker) for _ in range(12)]
for t in threads: t.start()
for n in range(1100):
    tasks.put(n)
    if n % 20 == 0: time.sleep(0.01)
for _ in threads: tasks.put(None)
for t in threads: t.join()
for n in sorted(results): print(n, results[n])
END
}
start() { exec "$python" threads.py; }
check() { same stdout.txt stderr.txt && [[ -s stdout.txt ]]; }
