// Filters of threads: one that all have in common, given to all at once, and one that each thread has of its own. A filter for
// all can still be installed while only the common one is there, which the kernel allows only when it is the very same.
#include "victim.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

enum { THREADS = 3 };
static atomic_int phase, checked, *others;

static long install(long call, int error, unsigned flags)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void expect_error(long call, int error)
{
    errno = 0;
    expect_equal(syscall(call), -1);
    expect_equal(errno, error);
}

static void *run(void *argument)
{
    int own = (int)(long)argument;
    while (atomic_load(&phase) == 0)
        nap_ms(1);
    must(install(SYS_getuid, 100 + own, 0));
    atomic_fetch_add(&checked, 1);
    while (atomic_load(&phase) == 1)
        nap_ms(1);
    expect_error(SYS_getppid, 50);
    expect_error(SYS_getuid, 100 + own);
    atomic_fetch_add(&checked, 1);
    return NULL;
}

// A second process, whose threads have nothing but the common filter.
static void *wait_phase(void *unused)
{
    while (atomic_load(others) < 2)
        nap_ms(2);
    expect_error(SYS_getppid, 50);
    expect_error(SYS_getgid, 60);
    return unused;
}

static void common(void)
{
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, wait_phase, NULL));
    must(install(SYS_getppid, 50, SECCOMP_FILTER_FLAG_TSYNC));
    atomic_store(others, 1);
    wait_verify();
    // The id of a thread that is in the way, or 0.
    expect_equal(install(SYS_getgid, 60, SECCOMP_FILTER_FLAG_TSYNC), 0);
    atomic_store(others, 2);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    _exit(0);
}

int main(void)
{
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    others = shared_memory(sizeof *others);
    pid_t child = must(fork());
    if (child == 0)
        common();
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    must(install(SYS_getppid, 50, SECCOMP_FILTER_FLAG_TSYNC));
    atomic_store(&phase, 1);
    while (atomic_load(&checked) < THREADS || atomic_load(others) == 0)
        nap_ms(1);
    must(install(SYS_getgid, 70, 0));
    ready();
    wait_verify();
    expect_error(SYS_getppid, 50);
    expect_error(SYS_getgid, 70);
    expect_equal(syscall(SYS_getuid), 0);
    atomic_store(&phase, 2);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    expect_equal(atomic_load(&checked), 2 * THREADS);
    reap_success(child);
    ok();
}
