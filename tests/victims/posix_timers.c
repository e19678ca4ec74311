// POSIX timers: ids with gaps, every way to notify, values, periods, clocks, armed or not, absolute, overruns.
#include "victim.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static int make(clockid_t clock, int notify, int number, int value, pid_t thread)
{
    struct sigevent event = {0};
    event.sigev_notify = notify;
    event.sigev_signo = number;
    event.sigev_value.sival_int = value;
    event.sigev_notify_thread_id = thread;
    int id = -1;
    must(syscall(SYS_timer_create, clock, &event, &id));
    return id;
}

static void arm(int id, int flags, int64_t value_ns, int64_t interval_ns)
{
    struct itimerspec setting = {{interval_ns / 1000000000, interval_ns % 1000000000}, {value_ns / 1000000000, value_ns % 1000000000}};
    must(syscall(SYS_timer_settime, id, flags, &setting, NULL));
}

static int64_t left(int id, int64_t *interval_ns)
{
    struct itimerspec setting;
    must(syscall(SYS_timer_gettime, id, &setting));
    if (interval_ns)
        *interval_ns = setting.it_interval.tv_sec * 1000000000LL + setting.it_interval.tv_nsec;
    return setting.it_value.tv_sec * 1000000000LL + setting.it_value.tv_nsec;
}

static atomic_int helper_id, helper_value;

static void *helper(void *unused)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    atomic_store(&helper_id, (int)syscall(SYS_gettid));
    while (sigwaitinfo(&set, &info) != SIGRTMIN + 3)
        fail("sigwaitinfo: %s", strerror(errno));
    expect_equal(info.si_code, SI_TIMER);
    atomic_store(&helper_value, info.si_value.sival_int);
    return unused;
}

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = SIGRTMIN; i < SIGRTMIN + 8; i++)
        sigaddset(&set, i);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, helper, NULL));
    while (atomic_load(&helper_id) == 0)
        nap_ms(1);

    int ids[12];
    for (int i = 0; i < 12; i++)
        ids[i] = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, i, 0);
    // Gaps: only 2, 5 and 9 of these stay.
    for (int i = 0; i < 12; i++)
        if (i != 2 && i != 5 && i != 9)
            must(syscall(SYS_timer_delete, ids[i]));
    int64_t interval;
    arm(ids[2], 0, 3600000000000, 1234567890);
    arm(ids[5], TIMER_ABSTIME, now_ns(CLOCK_MONOTONIC) + 7200000000000, 0);
    int quick = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 1, 111, 0);
    int none = make(CLOCK_BOOTTIME, SIGEV_NONE, 0, 0, 0);
    int direct = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 3, 333, atomic_load(&helper_id));
    int cpu = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 4, 444, 0);
    int own = make(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 5, 555, 0);
    // This one's signal stays pending, so that its expirations pile up as overruns.
    int piled = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 2, 222, 0);
    arm(none, 0, 1000000000000, 5000000000);
    arm(cpu, 0, 100000000000, 0);
    arm(own, 0, 200000000000, 0);
    arm(piled, 0, 1000000, 1000000);
    nap_ms(15);
    ready();
    wait_verify();

    int64_t value = left(ids[2], &interval);
    expect_equal(interval, 1234567890);
    if (value > 3600000000000 || value < 3540000000000)
        fail("timer %d has %ld ns left of an hour", ids[2], value);
    value = left(ids[5], &interval);
    expect(interval == 0 && value < 7200000000000 && value > 7140000000000);
    expect_equal(left(ids[9], &interval), 0);
    value = left(none, &interval);
    expect(interval == 5000000000 && value <= 1000000000000 && value > 940000000000);
    value = left(cpu, &interval);
    expect(value <= 100000000000 && value > 90000000000);
    value = left(own, &interval);
    expect(value <= 200000000000 && value > 190000000000);

    struct timespec limit = {3, 0};
    siginfo_t info;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN + 2);
    if (sigtimedwait(&one, &info, &limit) != SIGRTMIN + 2)
        fail("the signal of timer %d does not wait: %s", piled, strerror(errno));
    expect_equal(info.si_code, SI_TIMER);
    expect_equal(info.si_value.sival_int, 222);
    // How many overruns there were, the kernel tells nobody before the signal is taken: they start at none.
    expect(info.si_overrun >= 0);
    // And it goes on.
    expect_equal(sigtimedwait(&one, &info, &limit), SIGRTMIN + 2);

    arm(quick, 0, 1000000, 0);
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN + 1);
    expect_equal(sigtimedwait(&one, &info, &limit), SIGRTMIN + 1);
    expect_equal(info.si_value.sival_int, 111);
    arm(direct, 0, 1000000, 0);
    must_zero(pthread_join(thread, NULL));
    expect_equal(atomic_load(&helper_value), 333);
    // The timers that were deleted are not there, and a new one gets an id of its own.
    struct itimerspec setting;
    expect(syscall(SYS_timer_gettime, ids[3], &setting) == -1 && errno == EINVAL);
    int fresh = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 6, 666, 0);
    expect(fresh != quick && fresh != piled && fresh != ids[2]);
    arm(fresh, 0, 1000000, 0);
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN + 6);
    expect_equal(sigtimedwait(&one, &info, &limit), SIGRTMIN + 6);
    ok();
}
