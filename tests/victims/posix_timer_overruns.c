// A timer's signal that waits tells how often the timer has expired since.
#include "victim.h"

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    timer_t timer;
    must(timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 5}, &timer));
    struct timespec began;
    must(clock_gettime(CLOCK_MONOTONIC, &began));
    must(timer_settime(timer, 0, &(struct itimerspec){{0, 2000000}, {0, 2000000}}, NULL));
    nap_ms(100);
    ready();
    wait_verify();
    siginfo_t information;
    expect_equal(must(sigwaitinfo(&set, &information)), SIGRTMIN);
    expect_equal(information.si_code, SI_TIMER);
    expect_equal(information.si_value.sival_int, 5);
    expect(information.si_overrun >= 45);
    // The next, if there is one, has expired since; all together never more often than the time gives.
    long expired = information.si_overrun + 1;
    struct timespec now, zero = {0};
    while (sigtimedwait(&set, &information, &zero) == SIGRTMIN)
        expired += information.si_overrun + 1;
    must(clock_gettime(CLOCK_MONOTONIC, &now));
    expect(expired <= (now.tv_sec - began.tv_sec) * 500 + (now.tv_nsec - began.tv_nsec) / 2000000 + 1);
    must(timer_delete(timer));
    ok();
}
