// A tree of any shape, made by chance from the number in the environment variable VICTIM_SEED: sessions, groups joined
// and left, parents and leaders that end, zombies, subreapers. Everyone alive compares ids and children.
#include "victim.h"

enum { MOST = 64, DEPTH = 5 };

struct board { atomic_int started, settled, phase, noted, compared, ending; pid_t ends[MOST]; };
static struct board *board;
static uint64_t state;

static int chance(int sides)
{
    state = mix(state);
    return (int)(state % (uint64_t)sides);
}

// Pid, parent, group, session, and each child with the state it is in.
static void describe(char *text, size_t room)
{
    char path[64], *children, *next, *rest;
    int length = snprintf(text, room, "pid %d parent %d group %d session %d children", getpid(), getppid(), getpgrp(), getsid(0));
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    int pids[MOST], count = 0;
    rest = children = read_all(path, NULL);
    while ((next = strsep(&rest, " ")) != NULL)
        if (*next && count < MOST)
            pids[count++] = atoi(next);
    free(children);
    // The order in which they are listed is that of their making, which is nobody's business.
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++)
            if (pids[j] < pids[i]) {
                int swap = pids[i];
                pids[i] = pids[j];
                pids[j] = swap;
            }
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/proc/%d/stat", pids[i]);
        char *stat = read_all(path, NULL);
        length += snprintf(text + length, room - length, " %d%s", pids[i], strrchr(stat, ')')[2] == 'Z' ? "Z" : "");
        free(stat);
    }
}

static void stay(void)
{
    char before[1024], after[1024];
    atomic_fetch_add(&board->settled, 1);
    while (atomic_load(&board->phase) < 1)
        nap_ms(2);
    describe(before, sizeof before);
    atomic_fetch_add(&board->noted, 1);
    while (atomic_load(&board->phase) < 2)
        nap_ms(5);
    describe(after, sizeof after);
    if (strcmp(before, after) != 0)
        fail("%.200s, was %.200s", after, before);
    atomic_fetch_add(&board->compared, 1);
    while (atomic_load(&board->phase) < 3)
        nap_ms(2);
}

static void grow(int depth);

static void live(int depth)
{
    if (chance(4) == 0)
        (void)setsid();
    else if (chance(3) == 0)
        (void)setpgid(0, 0);
    else if (chance(4) == 0)
        (void)setpgid(0, getppid());
    if (chance(6) == 0)
        must(prctl(PR_SET_CHILD_SUBREAPER, 1));
    grow(depth);
    // One in three ends now: a zombie for as long as its parent lives, and its children get another parent.
    if (chance(3) == 0) {
        board->ends[atomic_fetch_add(&board->ending, 1)] = getpid();
        atomic_fetch_add(&board->settled, 1);
        if (chance(2))
            _exit(chance(256));
        kill(getpid(), SIGTERM);
    }
    stay();
    _exit(0);
}

static void grow(int depth)
{
    for (int i = depth < DEPTH ? chance(4) + (depth == 0) * 2 : 0; i > 0; i--) {
        uint64_t seed = mix(state + i);
        if (atomic_fetch_add(&board->started, 1) >= MOST - 1) {
            atomic_fetch_sub(&board->started, 1);
            return;
        }
        if (must(fork()) == 0) {
            state = seed;
            live(depth + 1);
        }
        // Some are waited for, if they end at once: then nothing is left of a leader but its group.
        if (chance(4) == 0) {
            nap_ms(3);
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        }
    }
}

int main(void)
{
    const char *seed = getenv("VICTIM_SEED");
    state = mix(seed ? strtoul(seed, NULL, 10) : 1);
    board = shared_memory(sizeof *board);
    must(prctl(PR_SET_CHILD_SUBREAPER, 1));
    grow(0);
    while (atomic_load(&board->settled) < atomic_load(&board->started))
        nap_ms(2);
    int ending = atomic_load(&board->ending);
    for (int i = 0; i < ending; i++)
        await_end(board->ends[i]);
    // Who is alive now stays alive; the dead have been counted as settled, not as noted.
    char before[1024], after[1024];
    atomic_store(&board->phase, 1);
    while (atomic_load(&board->noted) < atomic_load(&board->started) - ending)
        nap_ms(2);
    describe(before, sizeof before);
    ready();
    wait_verify();
    describe(after, sizeof after);
    if (strcmp(before, after) != 0)
        fail("the root: %.200s, was %.200s", after, before);
    atomic_store(&board->phase, 2);
    for (int tries = 0; atomic_load(&board->compared) < atomic_load(&board->noted); tries++) {
        if (tries == 3000)
            fail("%d of %d processes have looked", atomic_load(&board->compared), atomic_load(&board->noted));
        nap_ms(2);
    }
    atomic_store(&board->phase, 3);
    ok();
}
