// snapshot: no its timers go off all the time
// The three interval timers: period and time left are kept, and they go on.
#include "victim.h"

static volatile sig_atomic_t count[65];
static void handler(int number) { count[number]++; }

static int64_t us(struct timeval time) { return time.tv_sec * 1000000LL + time.tv_usec; }

int main(void)
{
    must(sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART}, NULL));
    must(sigaction(SIGVTALRM, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART}, NULL));
    must(sigaction(SIGPROF, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART}, NULL));
    struct itimerval real = {{0, 20000}, {0, 20000}}, virtual = {{0, 30000}, {500, 0}}, profile = {{70, 7}, {70, 7}}, now;
    must(setitimer(ITIMER_REAL, &real, NULL));
    must(setitimer(ITIMER_VIRTUAL, &virtual, NULL));
    must(setitimer(ITIMER_PROF, &profile, NULL));
    while (count[SIGALRM] < 2)
        nap_through_signals_ms(5);
    ready();
    wait_verify_through_signals();
    int before = count[SIGALRM];
    for (int i = 0; count[SIGALRM] < before + 3; i++) {
        if (i == 500)
            fail("ITIMER_REAL has stopped");
        nap_through_signals_ms(5);
    }
    must(getitimer(ITIMER_REAL, &now));
    expect_equal(us(now.it_interval), 20000);
    expect(us(now.it_value) <= 20000);
    // The kernel rounds these two up to its ticks.
    must(getitimer(ITIMER_VIRTUAL, &now));
    expect(us(now.it_interval) >= 30000 && us(now.it_interval) <= 40000);
    if (us(now.it_value) > 500100000 || us(now.it_value) < 495000000)
        fail("ITIMER_VIRTUAL has %ld us left", us(now.it_value));
    must(getitimer(ITIMER_PROF, &now));
    expect(us(now.it_interval) >= 70000007 && us(now.it_interval) <= 70020000);
    if (us(now.it_value) > 70100000 || us(now.it_value) < 65000000)
        fail("ITIMER_PROF has %ld us left", us(now.it_value));
    expect_equal(count[SIGVTALRM] + count[SIGPROF], 0);
    // They still measure the time of this process.
    must(setitimer(ITIMER_VIRTUAL, &(struct itimerval){{0, 0}, {0, 10000}}, NULL));
    for (int64_t start = now_ns(CLOCK_MONOTONIC); count[SIGVTALRM] == 0;)
        if (now_ns(CLOCK_MONOTONIC) - start > 3000000000)
            fail("ITIMER_VIRTUAL does not go off");
    ok();
}
