// driven: by ClockTests
// A watch on the clocks while an image lies on disk: the longest step that each was seen to make between two looks, a sleep and
// timers that are due a while after the checkpoint. The file `mode` says what is expected: "continue" (the time on disk has not been)
// or "real" (it has passed).
#include "victim.h"
#include <sys/timerfd.h>

enum { MONOTONIC, BOOTTIME, REALTIME, CLOCKS };
static const clockid_t ids[CLOCKS] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME};
static const int64_t second = 1000000000;
static int64_t slept, slept_real;

// Sleeps of nine seconds, interrupted by the checkpoint after the first of them or so: by a whole request, and with a place for the rest.
static void *sleeper(void *unused)
{
    (void)unused;
    int64_t start = now_ns(CLOCK_MONOTONIC), start_real = now_ns(CLOCK_REALTIME);
    struct timespec time = {9, 0};
    must(nanosleep(&time, &time));
    slept = now_ns(CLOCK_MONOTONIC) - start, slept_real = now_ns(CLOCK_REALTIME) - start_real;
    return NULL;
}

static int64_t ns(struct timespec time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }

int main(void)
{
    int64_t last[CLOCKS], step[CLOCKS] = {0}, least = 0;
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, sleeper, NULL));
    int64_t deadline = now_ns(CLOCK_MONOTONIC) + 9 * second;
    int relative = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), absolute = must(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK));
    struct itimerspec nine = {.it_value = {9, 0}}, then = {.it_value = {0, 0}}, left;
    must(timerfd_settime(relative, 0, &nine, NULL));
    int64_t expiry = now_ns(CLOCK_BOOTTIME) + 9 * second;
    then.it_value = (struct timespec){expiry / second, expiry % second};
    must(timerfd_settime(absolute, TFD_TIMER_ABSTIME, &then, NULL));
    timer_t posix;
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    must(timer_create(CLOCK_MONOTONIC, &none, &posix));
    must(timer_settime(posix, 0, &nine, NULL));
    for (int i = 0; i < CLOCKS; i++) last[i] = now_ns(ids[i]);
    ready();
    while (access("verify", F_OK) != 0) {
        usleep(2000);
        for (int i = 0; i < CLOCKS; i++) {
            int64_t now = now_ns(ids[i]);
            if (now - last[i] > step[i]) step[i] = now - last[i];
            if (now - last[i] < least) least = now - last[i];
            last[i] = now;
        }
    }
    FILE *file = fopen("mode", "r");
    char mode[16] = "";
    expect(file && fscanf(file, "%15s", mode) == 1);
    bool real = strcmp(mode, "real") == 0;
    if (step[REALTIME] < 5 * second) fail("the wall clock was faked: its longest step was %ld ns", step[REALTIME]);
    if (least < 0) fail("a clock went back by %ld ns", -least);
    for (int i = MONOTONIC; i <= BOOTTIME; i++)
        if (real ? step[i] < 5 * second : step[i] > 3 * second) fail("clock %d made a step of %ld ns", (int)ids[i], step[i]);
    must(timer_gettime(posix, &left));
    int64_t posix_left = ns(left.it_value);
    must(timerfd_gettime(relative, &left));
    int64_t relative_left = ns(left.it_value);
    must(timerfd_gettime(absolute, &left));
    int64_t absolute_left = ns(left.it_value), by_clock = deadline - now_ns(CLOCK_MONOTONIC);
    // Due at the same moment, all of them, and not before their clock says so.
    int64_t all[] = {posix_left, relative_left, absolute_left};
    for (int i = 0; i < 3; i++) {
        if (all[i] < by_clock - 50000000 && all[i] > 1) fail("timer %d has %ld ns left where the clock says %ld", i, all[i], by_clock);
        if (all[i] > by_clock + 2 * second) fail("timer %d has %ld ns left where the clock says %ld", i, all[i], by_clock);
    }
    must_zero(pthread_join(thread, NULL));
    if (slept < 9 * second) fail("slept for %ld ns by its clock, not nine seconds", slept);
    if (real && slept_real > 14 * second) fail("slept for %ld ns in all: the time on disk did not count", slept_real);
    if (!real && slept > 12 * second) fail("slept for %ld ns by its clock, not nine seconds", slept);
    ok();
}
