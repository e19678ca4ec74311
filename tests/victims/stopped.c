// snapshot: no one of its children counts all the time
// Stopped children stay stopped: one whose stop its parent has seen, one unseen, one of two threads, one continued since.
#include "victim.h"

struct board { atomic_int beats[4]; };
static struct board *board;

static void *beat(void *counter)
{
    for (;;) {
        atomic_fetch_add((atomic_int *)counter, 1);
        nap_through_signals_ms(1);
    }
    return NULL;
}

static char state_of(pid_t pid)
{
    char path[64], *text;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    text = read_all(path, NULL);
    char state = strrchr(text, ')')[2];
    free(text);
    return state;
}

static void await_state(pid_t pid, char state)
{
    for (int i = 0; state_of(pid) != state; i++) {
        if (i == 2000)
            fail("pid %d is in state %c, not %c", pid, state_of(pid), state);
        nap_through_signals_ms(1);
    }
}

int main(void)
{
    pid_t children[4];
    int status;
    board = shared_memory(sizeof *board);
    for (int i = 0; i < 4; i++) {
        if ((children[i] = must(fork())) == 0) {
            pthread_t thread;
            // A group of its own, for SIGTSTP does not stop members of an orphaned group.
            if (i == 1)
                must(setpgid(0, 0));
            if (i == 2)
                must_zero(pthread_create(&thread, NULL, beat, &board->beats[i]));
            beat(&board->beats[i]);
        }
    }
    for (int i = 0; i < 4; i++) {
        while (atomic_load(&board->beats[i]) < 3)
            nap_ms(1);
        must(kill(children[i], i == 1 ? SIGTSTP : SIGSTOP));
        await_state(children[i], 'T');
    }
    expect_equal(must(waitpid(children[0], &status, WUNTRACED)), children[0]);
    expect_equal(must(waitpid(children[3], &status, WUNTRACED)), children[3]);
    must(kill(children[3], SIGCONT));
    expect_equal(must(waitpid(children[3], &status, WCONTINUED)), children[3]);
    int before[4];
    for (int i = 0; i < 4; i++)
        before[i] = atomic_load(&board->beats[i]);
    ready();
    wait_verify();

    for (int i = 0; i < 3; i++) {
        if (state_of(children[i]) != 'T')
            fail("child %d is in state %c, not stopped", i, state_of(children[i]));
        expect_equal(atomic_load(&board->beats[i]), before[i]);
    }
    expect(state_of(children[3]) != 'T' && atomic_load(&board->beats[3]) > before[3]);
    // The stop of child 0 was reported already, those of 1 and 2 are still to be.
    expect_equal(must(waitpid(children[0], &status, WUNTRACED | WNOHANG)), 0);
    expect_equal(must(waitpid(children[1], &status, WUNTRACED | WNOHANG)), children[1]);
    expect(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
    expect_equal(must(waitpid(children[2], &status, WUNTRACED | WNOHANG)), children[2]);
    expect(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    for (int i = 0; i < 3; i++) {
        must(kill(children[i], SIGCONT));
        for (int tries = 0; atomic_load(&board->beats[i]) <= before[i] + 2; tries++) {
            if (tries == 2000)
                fail("child %d does not go on after SIGCONT", i);
            nap_ms(1);
        }
        expect_equal(must(waitpid(children[i], &status, WCONTINUED)), children[i]);
        expect(WIFCONTINUED(status));
    }
    for (int i = 0; i < 4; i++) {
        must(kill(children[i], SIGKILL));
        expect_equal(must(waitpid(children[i], &status, 0)), children[i]);
        expect_equal(status, SIGKILL);
    }
    ok();
}
