// A program of 32 bits and its signals: handlers of both kinds, one of them under way at the checkpoint, an alternate stack, signals that
// wait with their values, timers; a robust mutex whose owner dies after the restart.
#include "victim.h"

#ifndef __i386__
int main(void)
{
    skip("this compiler makes no 32-bit programs (gcc-multilib)");
}
#else

static char stack[65536];
static volatile int plain, queued, value, on_stack, ticks;
static atomic_int phase, owned;
static pthread_mutex_t *mutex;

static void on_plain(int signal)
{
    plain += signal == SIGUSR1;
    char here;
    on_stack = &here > stack && &here < stack + sizeof stack;
}

static void on_queued(int signal, siginfo_t *information, void *context)
{
    (void)context;
    queued += signal == SIGRTMIN + 1 && information->si_code == SI_QUEUE && information->si_pid == getpid();
    value = information->si_value.sival_int;
}

static void on_tick(int signal)
{
    (void)signal;
    ticks++;
}

// Is under way at the checkpoint.
static void in_handler(int signal)
{
    double before = 1.0 / 3;
    expect_equal(signal, SIGUSR2);
    atomic_store(&phase, 1);
    while (atomic_load(&phase) == 1)
        nap_through_signals_ms(2);
    expect(before == 1.0 / 3);
}

static void *handle(void *unused)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    must_zero(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    must_zero(pthread_kill(pthread_self(), SIGUSR2));
    expect_equal(atomic_load(&phase), 2);
    return unused;
}

static void *own_mutex(void *unused)
{
    must_zero(pthread_mutex_lock(mutex));
    atomic_store(&owned, 1);
    while (atomic_load(&owned) == 1)
        nap_through_signals_ms(2);
    return unused;
}

int main(void)
{
    pthread_t handling, owning;
    pthread_mutexattr_t attributes;
    sigset_t set, waiting;
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    must(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
    must(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_plain, .sa_flags = SA_ONSTACK}, NULL));
    must(sigaction(SIGUSR2, &(struct sigaction){.sa_handler = in_handler, .sa_flags = SA_RESTART}, NULL));
    must(sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_tick, .sa_flags = SA_RESTART}, NULL));
    must(sigaction(SIGRTMIN + 1, &(struct sigaction){.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO}, NULL));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN + 1);
    must_zero(pthread_sigmask(SIG_BLOCK, &set, NULL));
    must_zero(pthread_mutexattr_init(&attributes));
    must_zero(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
    mutex = shared_memory(sizeof *mutex);
    must_zero(pthread_mutex_init(mutex, &attributes));
    must_zero(pthread_create(&handling, NULL, handle, NULL));
    while (atomic_load(&phase) != 1)
        nap_ms(1);
    must_zero(pthread_create(&owning, NULL, own_mutex, NULL));
    while (atomic_load(&owned) != 1)
        nap_ms(1);
    must(raise(SIGUSR1));
    must(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 4242}));
    must(timer_create(CLOCK_MONOTONIC, &event, &timer));
    must(timer_settime(timer, 0, &(struct itimerspec){{0, 20000000}, {0, 20000000}}, NULL));
    ready();
    wait_verify_through_signals();
    must(sigpending(&waiting));
    expect_equal(sigismember(&waiting, SIGUSR1), 1);
    expect_equal(sigismember(&waiting, SIGRTMIN + 1), 1);
    int before = ticks;
    sigdelset(&set, SIGUSR2);
    must_zero(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    expect_equal(plain, 1);
    expect_equal(on_stack, 1);
    expect_equal(queued, 1);
    expect_equal(value, 4242);
    for (int i = 0; i < 500 && ticks == before; i++)
        nap_through_signals_ms(5);
    expect(ticks > before);
    atomic_store(&phase, 2);
    must_zero(pthread_join(handling, NULL));
    atomic_store(&owned, 2);
    must_zero(pthread_join(owning, NULL));
    expect_equal(pthread_mutex_lock(mutex), EOWNERDEAD);
    ok();
}
#endif
