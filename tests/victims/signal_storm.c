// snapshot: no signals come all the time
// Numbered real-time signals from another process, and ticks of a timer, arrive all the time: none is lost or doubled,
// each finds the registers of what it interrupts as they were.
#include "victim.h"

static atomic_int *stop;
static atomic_ulong *sent;
static volatile uint64_t expected, ticks;
static volatile int wrong;

static void on_number(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if ((uint64_t)info->si_value.sival_ptr != expected)
        wrong = 1;
    expected++;
    volatile double x = 1.1;
    for (int i = 0; i < 20; i++)
        x = x * 1.01 + 0.3;
}

static void on_tick(int number) { (void)number; ticks++; }

static void send_numbers(pid_t target)
{
    for (uint64_t i = 0; !atomic_load(stop);) {
        if (syscall(SYS_kill, target, 0) != 0)
            _exit(0);
        if (sigqueue(target, SIGRTMIN + 5, (union sigval){.sival_ptr = (void *)i}) == 0)
            atomic_store(sent, ++i);
        else if (errno != EAGAIN)
            fail("sigqueue: %s", strerror(errno));
        nap_ms(1);
    }
    _exit(0);
}

static double work(void)
{
    double sum = 0;
    for (int i = 1; i < 50000; i++)
        sum += 1.0 / i / i;
    return sum;
}

int main(void)
{
    stop = shared_memory(4096);
    sent = shared_memory(4096);
    must(setpriority(PRIO_PROCESS, 0, 5));
    must(sigaction(SIGRTMIN + 5, &(struct sigaction){.sa_sigaction = on_number, .sa_flags = SA_SIGINFO | SA_RESTART}, NULL));
    must(sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_tick, .sa_flags = SA_RESTART}, NULL));
    double wanted = work();
    pid_t target = getpid(), child = must(fork());
    if (child == 0)
        send_numbers(target);
    must(setitimer(ITIMER_REAL, &(struct itimerval){{0, 3000}, {0, 3000}}, NULL));
    while (expected < 10)
        if (work() != wanted)
            fail("the sum changed");
    ready();
    while (!told_to_verify())
        if (work() != wanted)
            fail("the sum changed while signals came");
    uint64_t had = expected, had_ticks = ticks;
    int64_t end = now_ns(CLOCK_MONOTONIC) + 5000000000;
    while (expected < had + 10 || ticks < had_ticks + 5) {
        if (now_ns(CLOCK_MONOTONIC) > end)
            fail("signals have stopped: %lu numbers and %lu ticks since", expected - had, ticks - had_ticks);
        expect(work() == wanted);
    }
    atomic_store(stop, 1);
    int status;
    while (waitpid(child, &status, 0) == -1)
        expect(errno == EINTR);
    nap_through_signals_ms(5);
    expect_equal(wrong, 0);
    expect_equal(expected, atomic_load(sent));
    ok();
}
