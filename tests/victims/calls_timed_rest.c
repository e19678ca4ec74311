// tier: long it measures how long calls take
// Waits of eight seconds that nobody but the kernel knows the rest of (nanosleep and clock_nanosleep without a place for it, poll, a futex, epoll_wait), five
// seconds of which are over at the checkpoint: they end when they should have, on the clock that went on from there.
#include "victim.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>

enum { WAITS = 8, LONG_MS = 8000, BEFORE_MS = 5000, LATE_MS = 4500 };
static atomic_int started;
static int64_t began[WAITS], ended[WAITS];
static int ends[2], events;
// Where a wait's limit lies can't be written to.
static const struct timespec fixed = {LONG_MS / 1000, 0};

static void wait_for(int which)
{
    struct timespec own = {LONG_MS / 1000, 0};
    struct pollfd polled = {.fd = ends[0], .events = POLLIN};
    uint32_t word = 7;
    struct epoll_event event;
    sigset_t mask;
    sigemptyset(&mask);
    switch (which) {
    case 0: expect_equal(nanosleep(&fixed, NULL), 0); break;
    case 1: expect_equal(syscall(SYS_nanosleep, &own, NULL), 0); break;
    case 2: expect_equal(clock_nanosleep(CLOCK_BOOTTIME, 0, &own, NULL), 0); break;
    case 3: expect_equal(poll(&polled, 1, LONG_MS), 0); break;
    case 4: expect_equal(syscall(SYS_futex, &word, FUTEX_WAIT, 7, &own, NULL, 0), -1); expect_equal(errno, ETIMEDOUT); break;
    case 6: expect_equal(epoll_wait(events, &event, 1, LONG_MS), 0); break;
    case 7: expect_equal(epoll_pwait(events, &event, 1, LONG_MS, &mask), 0); break;
    case 5: expect_equal(poll(NULL, 0, LONG_MS), 0); break;
    }
    expect_equal(own.tv_sec, LONG_MS / 1000);
    expect_equal(own.tv_nsec, 0);
    expect_equal(polled.revents, 0);
}

static void *run(void *number)
{
    int which = (int)(intptr_t)number;
    began[which] = now_ns(CLOCK_MONOTONIC);
    atomic_fetch_add(&started, 1);
    wait_for(which);
    ended[which] = now_ns(CLOCK_MONOTONIC);
    return NULL;
}

int main(void)
{
    pthread_t threads[WAITS];
    must(pipe2(ends, O_CLOEXEC));
    events = must(epoll_create1(EPOLL_CLOEXEC));
    for (intptr_t i = 0; i < WAITS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    while (atomic_load(&started) < WAITS)
        nap_ms(1);
    nap_ms(BEFORE_MS);
    ready();
    wait_verify();
    for (int i = 0; i < WAITS; i++)
        must_zero(pthread_join(threads[i], NULL));
    for (int i = 0; i < WAITS; i++) {
        int64_t took = (ended[i] - began[i]) / 1000000;
        if (took < LONG_MS || took > LONG_MS + LATE_MS)
            fail("wait %d took %lld ms", i, (long long)took);
    }
    ok();
}
