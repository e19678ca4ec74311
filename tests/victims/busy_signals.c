// checkpoint: --save-files
// restart: --changed-files rewind
// snapshot: no it computes all the time
// Signals and timers without end: none is lost, none comes twice, in order where they queue, none early; masks and the alternate stack stay.
#include "beats.h"
#include <sys/signalfd.h>
#include <sys/timerfd.h>

enum { BY_INTERVAL, BY_TIMER, SENDER, RECEIVER, BY_DESCRIPTOR, BY_HANDLER, BY_SIGNALFD, PARTS };
enum { EVERY_MS = 4, BURST = 5 };
static atomic_ulong alarms, handled, received;
static sigset_t all_of_ours;

static int of_timer(void) { return SIGRTMIN + 1; }
static int of_queue(void) { return SIGRTMIN + 2; }
static int of_signalfd(void) { return SIGRTMIN + 3; }

// A timer of EVERY_MS has run out no more often than that; one more for where it stood in its interval, and one for rounding at each restart.
static void expect_not_early(const char *timer, unsigned long times, int64_t begin)
{
    unsigned long most = (now_ns(CLOCK_MONOTONIC) - begin) / (EVERY_MS * 1000000L) + 2;
    if (times > most)
        fail("%s has run out %lu times where %lu was the most", timer, times, most);
}

static void on_alarm(int signal)
{
    (void)signal;
    atomic_fetch_add(&alarms, 1);
}

static void by_interval(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    must_zero(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    int64_t begin = now_ns(CLOCK_MONOTONIC);
    must(setitimer(ITIMER_REAL, &(struct itimerval){{0, EVERY_MS * 1000}, {0, EVERY_MS * 1000}}, NULL));
    for (unsigned long seen = 0;;) {
        nap_through_signals_ms(2);
        unsigned long now = atomic_load(&alarms);
        expect_not_early("the interval timer", now, begin);
        if (now > seen)
            beat(BY_INTERVAL);
        seen = now;
    }
}

static void by_timer(void)
{
    timer_t timer;
    unsigned long times = 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, of_timer());
    int64_t begin = now_ns(CLOCK_MONOTONIC);
    must(timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = of_timer(), .sigev_value.sival_int = 4711}, &timer));
    must(timer_settime(timer, 0, &(struct itimerspec){{0, EVERY_MS * 1000000L}, {0, EVERY_MS * 1000000L}}, NULL));
    for (;;) {
        siginfo_t information;
        int signal = sigwaitinfo(&set, &information);
        if (signal != of_timer() || information.si_code != SI_TIMER || information.si_value.sival_int != 4711)
            fail("sigwaitinfo gave %d, errno %d, code %d, value %d", signal, errno, information.si_code, information.si_value.sival_int);
        times += 1 + information.si_overrun;
        expect_not_early("the POSIX timer", times, begin);
        beat(BY_TIMER);
    }
}

// The real-time signal of each number comes once, in order.
static void send_numbers(void)
{
    for (unsigned long sent = 0;;) {
        for (int i = 0; i < BURST; i++)
            must(sigqueue(getpid(), of_queue(), (union sigval){.sival_ptr = (void *)++sent}));
        while (atomic_load(&received) < sent)
            nap_ms(1);
        beat(SENDER);
    }
}

static void receive_numbers(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, of_queue());
    for (;;) {
        siginfo_t information;
        int signal = sigtimedwait(&set, &information, &(struct timespec){30, 0});
        unsigned long expected = atomic_load(&received) + 1;
        if (signal != of_queue() || information.si_pid != getpid() || (unsigned long)information.si_value.sival_ptr != expected)
            fail("sigtimedwait gave %d, errno %d, with %lu for %lu", signal, errno, (unsigned long)information.si_value.sival_ptr, expected);
        atomic_store(&received, expected);
        beat(RECEIVER);
    }
}

static void by_descriptor(void)
{
    int timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    unsigned long times = 0;
    int64_t begin = now_ns(CLOCK_MONOTONIC);
    must(timerfd_settime(timer, 0, &(struct itimerspec){{0, EVERY_MS * 1000000L}, {0, EVERY_MS * 1000000L}}, NULL));
    for (;;) {
        uint64_t more;
        expect_equal(read(timer, &more, sizeof more), sizeof more);
        times += more;
        expect_not_early("the timer of the descriptor", times, begin);
        beat(BY_DESCRIPTOR);
    }
}

static char *alternate;

static void on_own(int signal)
{
    char here;
    (void)signal;
    if (&here < alternate || &here >= alternate + 65536)
        fail("the handler runs on another stack");
    atomic_fetch_add(&handled, 1);
}

static void by_handler(void)
{
    sigset_t before, now;
    alternate = malloc(65536);
    must(sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = 65536}, NULL));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    must_zero(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    must_zero(pthread_sigmask(SIG_BLOCK, NULL, &before));
    for (unsigned long sent = 1;; sent++) {
        must_zero(pthread_kill(pthread_self(), SIGUSR1));
        expect_equal(atomic_load(&handled), sent);
        must_zero(pthread_sigmask(SIG_BLOCK, NULL, &now));
        expect(memcmp(&before, &now, 8) == 0);
        stack_t stack;
        must(sigaltstack(NULL, &stack));
        expect(stack.ss_sp == alternate && stack.ss_flags == 0);
        beat(BY_HANDLER);
        nap_ms(1);
    }
}

static void by_signalfd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, of_signalfd());
    int descriptor = must(signalfd(-1, &set, SFD_CLOEXEC));
    for (uint64_t number = 1;; number++) {
        must(sigqueue(getpid(), of_signalfd(), (union sigval){.sival_ptr = (void *)number}));
        struct signalfd_siginfo information;
        expect_equal(read(descriptor, &information, sizeof information), sizeof information);
        expect_equal(information.ssi_ptr, number);
        beat(BY_SIGNALFD);
        nap_ms(1);
    }
}

static void *run(void *argument)
{
    static void (*const work[PARTS])(void) = {by_interval, by_timer, send_numbers, receive_numbers, by_descriptor, by_handler, by_signalfd};
    work[(long)argument](); // does not end
    return NULL;
}

int main(void)
{
    pthread_t threads[PARTS];
    make_beats(PARTS);
    sigemptyset(&all_of_ours);
    const int blocked[] = {SIGALRM, SIGUSR1, of_timer(), of_queue(), of_signalfd()};
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++)
        sigaddset(&all_of_ours, blocked[i]);
    must(sigprocmask(SIG_BLOCK, &all_of_ours, NULL));
    must(sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART}, NULL));
    must(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_own, .sa_flags = SA_ONSTACK}, NULL));
    for (long i = 0; i < PARTS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    await_beats();
    ready();
    wait_verify();
    await_beats();
    ok();
}
