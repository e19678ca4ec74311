// Signals that wait, blocked: for the process and for one thread, with their values, senders and order.
#include "victim.h"

static pid_t parent;
static atomic_int started;
static atomic_bool go;

static void expect_next(const sigset_t *set, int number, int code, int value, bool has_value)
{
    siginfo_t info = {0};
    // Not by sigtimedwait(3), which turns SI_TKILL into SI_USER.
    int got = syscall(SYS_rt_sigtimedwait, set, &info, &(struct timespec){0}, 8);
    if (got < 0)
        fail("signal %d is not pending: %s", number, strerror(errno));
    expect_equal(got, number);
    expect_equal(info.si_code, code);
    expect_equal(info.si_pid, parent);
    expect_equal(info.si_uid, getuid());
    if (has_value)
        expect_equal(info.si_value.sival_int, value);
}

static void *run(void *unused)
{
    pid_t id = syscall(SYS_gettid);
    for (int i = 0; i < 4; i++) {
        siginfo_t info = {.si_signo = SIGRTMIN + 2, .si_code = SI_QUEUE};
        info.si_pid = getpid();
        info.si_uid = getuid();
        info.si_value.sival_int = 500 + i;
        must(syscall(SYS_rt_tgsigqueueinfo, getpid(), id, SIGRTMIN + 2, &info));
    }
    must(syscall(SYS_tgkill, getpid(), id, SIGUSR2));
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&go))
        nap_ms(10);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    expect_next(&set, SIGUSR2, SI_TKILL, 0, false);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    for (int i = 0; i < 4; i++)
        expect_next(&set, SIGRTMIN + 2, SI_QUEUE, 500 + i, true);
    errno = 0;
    expect(sigtimedwait(&set, NULL, &(struct timespec){0}) == -1 && errno == EAGAIN);
    return unused;
}

int main(void)
{
    sigset_t all, set;
    pthread_t thread;
    parent = getpid();
    sigfillset(&all);
    must(sigprocmask(SIG_SETMASK, &all, NULL));
    must_zero(pthread_create(&thread, NULL, run, NULL));
    while (atomic_load(&started) < 1)
        nap_ms(1);
    must(kill(getpid(), SIGUSR1));
    for (int i = 0; i < 5; i++)
        must(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 900 + i * i}));
    must(sigqueue(getpid(), SIGRTMAX, (union sigval){.sival_ptr = (void *)0x7000000012345678}));
    must(sigqueue(getpid(), SIGTERM, (union sigval){.sival_int = 3}));
    ready();
    wait_verify();

    sigset_t pending;
    must(sigpending(&pending));
    expect(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGTERM) && !sigismember(&pending, SIGUSR2));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    expect_next(&set, SIGUSR1, SI_USER, 0, false);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    for (int i = 0; i < 5; i++)
        expect_next(&set, SIGRTMIN + 1, SI_QUEUE, 900 + i * i, true);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMAX);
    siginfo_t info;
    expect_equal(sigtimedwait(&set, &info, &(struct timespec){0}), SIGRTMAX);
    expect(info.si_value.sival_ptr == (void *)0x7000000012345678);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    expect_next(&set, SIGTERM, SI_QUEUE, 3, true);
    sigfillset(&set);
    errno = 0;
    expect(sigtimedwait(&set, NULL, &(struct timespec){0}) == -1 && errno == EAGAIN);
    atomic_store(&go, true);
    must_zero(pthread_join(thread, NULL));
    ok();
}
