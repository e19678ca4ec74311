// More POSIX timers than fit on one tape.
#include "victim.h"

enum { TIMERS = 400 };

int main(void)
{
    timer_t timers[TIMERS];
    for (int i = 0; i < TIMERS; i++) {
        struct sigevent event = {0};
        event.sigev_notify = SIGEV_NONE;
        must(timer_create(CLOCK_MONOTONIC, &event, &timers[i]));
        must(timer_settime(timers[i], 0, &(struct itimerspec){.it_interval = {1000 + i, 0}, .it_value = {5000 + i, 0}}, NULL));
    }
    ready();
    wait_verify();
    for (int i = 0; i < TIMERS; i++) {
        struct itimerspec left;
        must(timer_gettime(timers[i], &left));
        expect_equal(left.it_interval.tv_sec, 1000 + i);
        if (left.it_value.tv_sec > 5000 + i || left.it_value.tv_sec < 4900 + i)
            fail("timer %d has %ld s left", i, (long)left.it_value.tv_sec);
    }
    ok();
}
