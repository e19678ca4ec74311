// A tree of several sessions and process groups, with group and session leaders that are dead and gone, and orphans
// that were handed to the subreaper at the root. Each process compares its ids with those it had.
#include "victim.h"

enum { MOST = 32 };

struct ids { pid_t pid, parent, group, session; };
struct board { atomic_int count, go, content, compared; struct ids ids[MOST]; };

static struct board *board;

static struct ids current(void)
{
    return (struct ids){getpid(), getppid(), getpgrp(), getsid(0)};
}

// Lives until the verification. What is noted is read when all is set up, for parents still die in between.
static void stay(void)
{
    int slot = atomic_fetch_add(&board->count, 1);
    while (atomic_load(&board->go) == 0)
        nap_ms(2);
    board->ids[slot] = current();
    atomic_fetch_add(&board->content, 1);
    while (atomic_load(&board->go) == 1)
        nap_ms(5);
    struct ids was = board->ids[slot], is = current();
    if (memcmp(&was, &is, sizeof is) != 0)
        fail("pid %d: parent %d group %d session %d, was pid %d parent %d group %d session %d", is.pid, is.parent,
             is.group, is.session, was.pid, was.parent, was.group, was.session);
    // Nobody ends before all have looked, for an end changes the parent of others.
    atomic_fetch_add(&board->compared, 1);
    while (atomic_load(&board->compared) < atomic_load(&board->count))
        nap_ms(2);
    _exit(0);
}

static pid_t grow(void (*body)(void))
{
    pid_t pid = must(fork());
    if (pid == 0) {
        body();
        _exit(0);
    }
    return pid;
}

// A session of its own with two groups.
static void own_session(void)
{
    must(setsid());
    pid_t other = grow(stay);
    must(setpgid(other, other));
    pid_t same = grow(stay);
    must(setpgid(same, other));
    grow(stay);
    stay();
}

// The leader of this session, and so of its group, ends at once: its members stay in both.
static void session_without_leader(void)
{
    must(setsid());
    grow(stay);
    pid_t group = grow(stay);
    must(setpgid(group, group));
}

// The leader of this group ends, its members stay; one of them has a child that has a session.
static void member(void)
{
    grow(own_session);
    stay();
}

static void group_without_leader(void)
{
    must(setpgid(0, 0));
    grow(member);
    grow(stay);
}

// Parents that are gone for several levels, every one of them a group leader.
static void chain(void)
{
    for (int i = 0; i < 4; i++) {
        pid_t pid = must(fork());
        if (pid > 0)
            _exit(0);
        must(setpgid(0, 0));
        grow(stay);
    }
    stay();
}

int main(void)
{
    board = shared_memory(sizeof *board);
    must(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t gone[] = {grow(session_without_leader), grow(group_without_leader), grow(chain)};
    for (int i = 0; i < 3; i++)
        must(waitpid(gone[i], NULL, 0));
    grow(own_session);
    grow(stay);
    // The middle of the chain; 2 + 2 + 4 in an own session + 5 + 4 + 1 stay.
    for (int i = 0; i < 3; i++)
        must(waitpid(-1, NULL, 0));
    const int count = 18;
    while (atomic_load(&board->count) < count)
        nap_ms(2);
    atomic_store(&board->go, 1);
    while (atomic_load(&board->content) < count)
        nap_ms(2);
    ready();
    wait_verify();
    atomic_store(&board->go, 2);
    int ended = 0, status;
    while (waitpid(-1, &status, 0) > 0) {
        expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        ended++;
    }
    expect_equal(errno, ECHILD);
    if (ended < count - 4)
        fail("only %d of %d processes were reaped here", ended, count);
    ok();
}
