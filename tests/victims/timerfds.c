// timerfd: armed and not, period, expirations not read yet, absolute, clocks, one shot that has gone off.
#include "victim.h"
#include <sys/timerfd.h>

static int make(clockid_t clock, int flags, int64_t value_ns, int64_t interval_ns)
{
    int fd = must(timerfd_create(clock, TFD_NONBLOCK));
    struct itimerspec setting = {{interval_ns / 1000000000, interval_ns % 1000000000}, {value_ns / 1000000000, value_ns % 1000000000}};
    if (value_ns)
        must(timerfd_settime(fd, flags, &setting, NULL));
    return fd;
}

static int64_t ns(struct timespec time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }

int main(void)
{
    struct itimerspec now;
    uint64_t expirations;
    int idle = make(CLOCK_MONOTONIC, 0, 0, 0), hour = make(CLOCK_MONOTONIC, 0, 3600000000000, 7000000001),
        absolute = make(CLOCK_REALTIME, TFD_TIMER_ABSTIME, now_ns(CLOCK_REALTIME) + 7200000000000, 0),
        gone = make(CLOCK_BOOTTIME, 0, 1000000, 0), quick = make(CLOCK_MONOTONIC, 0, 1000000, 1000000),
        soon = make(CLOCK_MONOTONIC, 0, 150000000, 0);
    nap_ms(30);
    ready();
    wait_verify();
    must(timerfd_gettime(idle, &now));
    expect(ns(now.it_value) == 0 && ns(now.it_interval) == 0);
    must(timerfd_gettime(hour, &now));
    expect_equal(ns(now.it_interval), 7000000001);
    if (ns(now.it_value) > 3600000000000 || ns(now.it_value) < 3540000000000)
        fail("%ld ns are left of an hour", ns(now.it_value));
    must(timerfd_gettime(absolute, &now));
    expect(ns(now.it_value) < 7200000000000 && ns(now.it_value) > 7140000000000);
    if (read(gone, &expirations, 8) != 8)
        fail("the expiration of a one-shot timer that was not read is lost: %s", strerror(errno));
    expect_equal(expirations, 1);
    expect(read(gone, &expirations, 8) == -1 && errno == EAGAIN);
    expect_equal(must(read(quick, &expirations, 8)), 8);
    if (expirations < 25)
        fail("%lu expirations, there were more than 25 before the checkpoint", expirations);
    nap_ms(10);
    expect_equal(must(read(quick, &expirations, 8)), 8);
    expect(poll(&(struct pollfd){soon, POLLIN, 0}, 1, 2000) == 1);
    expect_equal(must(read(soon, &expirations, 8)), 8);
    expect_equal(expirations, 1);
    ok();
}
