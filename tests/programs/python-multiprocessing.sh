# python3 with multiprocessing: forked workers, pipes, semaphores in /dev/shm whose names are gone, shared memory.
needs=$python
prepare() {
    cat >processes.py <<'END'
import hashlib, multiprocessing, time

def task(n):
    total = 0
    for i in range(60000):
        total = (total * 31 + i * n) % 1000003
    with counter.get_lock():
        counter.value += 1
    return n, total, hashlib.md5(b"%d" % total * 5000).hexdigest()

if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    counter = multiprocessing.Value("q", 0)
    with multiprocessing.Pool(4) as pool:
        for n, total, digest in pool.imap(task, range(1300), chunksize=3):
            print(n, total, digest)
        pool.close()
        pool.join()
    print("tasks", counter.value)
END
}
start() { exec "$python" processes.py; }
check() { same stdout.txt stderr.txt && grep -q "^tasks 1300$" stdout.txt; }
