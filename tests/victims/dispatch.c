// Threads that have their own system calls sent to their SIGSYS handler (syscall user dispatch) while a byte of theirs says so: all of
// them, all but those from one range of addresses, or (Linux 6.17) only those from there.
#include "victim.h"
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
enum { ALLOW = 0, BLOCK = 1, EXCLUSIVE = 1, INCLUSIVE = 2, GETPID = 39, THREADS = 2 };

static __thread volatile char selector;
static __thread volatile int dispatched;
static atomic_int started;
static atomic_bool verify;

// The ranges: each has a system call instruction of its own.
__asm__(".text\n.balign 64\nhere: mov $39, %eax\nsyscall\nhere_end: ret\n.balign 64\nthere: mov $39, %eax\nsyscall\nthere_end: ret\n");
extern long here(void), there(void);
extern const char here_end[], there_end[];

static void on_sigsys(int signal, siginfo_t *information, void *context)
{
    selector = ALLOW;
    if (signal != SIGSYS || information->si_code != 2 /* SYS_USER_DISPATCH */ || information->si_syscall != GETPID)
        fail("SIGSYS with code %d of call %d", information->si_code, information->si_syscall);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -4242;
    dispatched++;
}

static void ask(bool here_goes, bool there_goes)
{
    pid_t self = getpid();
    dispatched = 0;
    selector = BLOCK;
    long first = here();
    selector = BLOCK;
    long second = there();
    selector = ALLOW;
    expect_equal(first, here_goes ? self : -4242);
    expect_equal(second, there_goes ? self : -4242);
    expect_equal(dispatched, !here_goes + !there_goes);
}

static void wait_told(void)
{
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&verify))
        nap_ms(2);
}

static void *but_here(void *unused)
{
    // The instruction behind the call is what counts.
    must(prctl(PR_SET_SYSCALL_USER_DISPATCH, EXCLUSIVE, (long)here, here_end + 1 - (char *)here, &selector));
    ask(true, false);
    wait_told();
    ask(true, false);
    return unused;
}

static void *only_here(void *unused)
{
    bool known = prctl(PR_SET_SYSCALL_USER_DISPATCH, INCLUSIVE, (long)here, here_end + 1 - (char *)here, &selector) == 0;
    wait_told();
    if (known)
        ask(false, true);
    return unused;
}

int main(void)
{
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, EXCLUSIVE, 0, 0, &selector) != 0)
        skip("this kernel has no syscall user dispatch");
    must(sigaction(SIGSYS, &action, NULL));
    must_zero(pthread_create(&threads[0], NULL, but_here, NULL));
    must_zero(pthread_create(&threads[1], NULL, only_here, NULL));
    while (atomic_load(&started) < THREADS)
        nap_ms(1);
    ask(false, false);
    ready();
    wait_verify();
    ask(false, false);
    atomic_store(&verify, true);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
