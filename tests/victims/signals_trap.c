// SIGTRAPs that wait, blocked: for the process, for a thread, with values, and one that would be ignored. SIGTRAP is what the
// tool itself lives on.
#include "victim.h"

static void *run(void *unused)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTRAP);
    union sigval value = {.sival_int = 71};
    must_zero(pthread_sigqueue(pthread_self(), SIGTRAP, value));
    *(atomic_int *)unused = 1;
    wait_verify();
    siginfo_t information;
    struct timespec none = {0, 0};
    // A thread's own come first (man 7 signal).
    expect_equal(must(sigtimedwait(&set, &information, &none)), SIGTRAP);
    expect_equal(information.si_value.sival_int, 71);
    expect_equal(information.si_code, SI_QUEUE);
    return NULL;
}

static atomic_int handled;
static void handler(int signal, siginfo_t *information, void *context)
{
    (void)signal, (void)context;
    atomic_store(&handled, information->si_value.sival_int);
}

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTRAP);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    must(sigaction(SIGTRAP, &action, NULL));
    // A child that ignores it; blocked, it waits all the same.
    pid_t child = must(fork());
    if (child == 0) {
        signal(SIGTRAP, SIG_IGN);
        must(raise(SIGTRAP));
        while (!told_to_verify())
            nap_ms(5);
        sigset_t waiting;
        must(sigpending(&waiting));
        expect(sigismember(&waiting, SIGTRAP));
        must(sigprocmask(SIG_UNBLOCK, &set, NULL));
        must(sigpending(&waiting));
        expect(!sigismember(&waiting, SIGTRAP));
        _exit(0);
    }
    atomic_int started = 0;
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, run, &started));
    while (!atomic_load(&started))
        nap_ms(1);
    union sigval value = {.sival_int = 72};
    must(sigqueue(getpid(), SIGTRAP, value));
    nap_ms(20);
    ready();
    wait_verify();
    must_zero(pthread_join(thread, NULL));
    expect_equal(atomic_load(&handled), 0);
    must(sigprocmask(SIG_UNBLOCK, &set, NULL));
    expect_equal(atomic_load(&handled), 72);
    reap_success(child);
    ok();
}
