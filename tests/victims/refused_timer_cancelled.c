// refused: the clock was set
// A timerfd that is told when the clock is set (TFD_TIMER_CANCEL_ON_SET), which happens, by a nanosecond, and has not been read.
#include "victim.h"
#include <sys/timerfd.h>
#include <sys/timex.h>

int main(void)
{
    int fd = must(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC));
    struct itimerspec far = {.it_value = {now_ns(CLOCK_REALTIME) / 1000000000 + 100000, 0}};
    must(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL));
    struct timex change = {.modes = ADJ_SETOFFSET | ADJ_NANO, .time = {0, 1}};
    if (adjtimex(&change) < 0)
        skip("the clock may not be set here");
    ready();
    wait_verify();
    uint64_t ticks;
    expect_equal(read(fd, &ticks, sizeof ticks), -1);
    expect_equal(errno, ECANCELED);
    ok();
}
