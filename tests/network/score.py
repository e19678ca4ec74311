# What the clients outside of the tree have in common: how long they go on, what they count, and how they say it.
#
# A client goes on until there is a file `enough`. The file `deaths` tells from when on the server is killed and restarted, before
# which it is only checkpointed and left running. Each answer that is wrong, late, missing or one too many ends the client at once.
import faulthandler
import os
import signal
import sys
import threading
import time

# After a pause a peer sends again as late as the pause was long, and this machine may be busy.
PATIENCE = 60

# After so many answers all is under way, and there is a file `begun`.
BEGUN = 50

# Who is late is seen when the time is over.
faulthandler.register(signal.SIGTERM, chain=True)

_lock = threading.Lock()
_answers = 0
_slowest = [0.0, 0.0]
_connecting = [0.0, 0.0]


def enough():
    return os.path.exists("enough")


def _phase():
    return 1 if os.path.exists("deaths") else 0


def connected(seconds):
    """A new connection, and how long that took."""
    phase = _phase()
    with _lock:
        _connecting[phase] = max(_connecting[phase], seconds)


def answered(seconds, count=1):
    """Counts answers that were right."""
    global _answers
    phase = _phase()
    with _lock:
        _answers += count
        if _answers >= BEGUN and not os.path.exists("begun"):
            open("begun", "w").close()
        _slowest[phase] = max(_slowest[phase], seconds)


def counted(count, slowest):
    """Adds what somebody else has counted, with the slowest of each phase."""
    global _answers
    _answers += count
    _slowest[:] = map(max, _slowest, slowest)


def refused(error):
    """Between a death and its restart nobody listens, and only then."""
    if _phase() == 0:
        wrong(f"{error!r}")
    time.sleep(0.05)


def wrong(words):
    """Ends the client, from any thread."""
    print(f"after {_answers} answers, at {time.time():.3f}: {words}", flush=True)
    os._exit(1)


def expect(got, wanted, where=""):
    if got != wanted:
        wrong(f"{where}{got[:200]!r} came in the place of {wanted[:200]!r}")


def side_by_side(conversations):
    """Runs functions in threads of their own, to their ends; the first that throws ends all."""
    def run(conversation):
        try:
            conversation()
        except BaseException as error:  # also SystemExit: nothing may pass unseen
            wrong(f"{error!r}")

    threads = [threading.Thread(target=run, args=(one,)) for one in conversations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def tell():
    connecting = f"; to connect took up to {_connecting[0]:.2f} s, over restarts {_connecting[1]:.2f} s" if any(_connecting) else ""
    print(f"{_answers} answers, the slowest after {_slowest[0]:.2f} s, over restarts {_slowest[1]:.2f} s{connecting}")
    sys.stdout.flush()
