// The action of every signal: handler, flags, mask, restorer as they were, ignored ones ignored, and they still work.
#include "victim.h"

static volatile sig_atomic_t seen_signal;
static volatile int seen_value;

static void plain(int number) { seen_signal = number; }
static void with_info(int number, siginfo_t *info, void *context)
{
    (void)context;
    seen_signal = number;
    seen_value = info->si_value.sival_int;
}

struct kernel_action { void *handler; unsigned long flags; void *restorer; uint64_t mask; };

static struct kernel_action get(int number)
{
    struct kernel_action action = {0};
    must(syscall(SYS_rt_sigaction, number, NULL, &action, 8));
    return action;
}

int main(void)
{
    struct kernel_action before[65];
    for (int i = 1; i <= 64; i++) {
        if (i == SIGKILL || i == SIGSTOP || i == 32 || i == 33)
            continue;
        struct sigaction action = {0};
        sigemptyset(&action.sa_mask);
        sigaddset(&action.sa_mask, i % 31 + 1);
        sigaddset(&action.sa_mask, 34 + i % 31);
        switch (i % 5) {
        case 0: action.sa_handler = SIG_IGN; break;
        case 1: action.sa_handler = SIG_DFL; break;
        case 2: action.sa_handler = plain; action.sa_flags = SA_RESTART | SA_NODEFER; break;
        case 3: action.sa_sigaction = with_info; action.sa_flags = SA_SIGINFO | SA_ONSTACK; break;
        case 4: action.sa_handler = plain; action.sa_flags = SA_RESETHAND | SA_NOCLDSTOP; break;
        }
        must(sigaction(i, &action, NULL));
    }
    for (int i = 1; i <= 64; i++)
        before[i] = get(i);
    ready();
    wait_verify();
    for (int i = 1; i <= 64; i++) {
        struct kernel_action after = get(i);
        if (memcmp(&after, &before[i], sizeof after) != 0)
            fail("signal %d: handler %p flags 0x%lx restorer %p mask 0x%lx, was %p 0x%lx %p 0x%lx", i, after.handler,
                 after.flags, after.restorer, after.mask, before[i].handler, before[i].flags, before[i].restorer,
                 before[i].mask);
    }
    must(raise(12));
    expect_equal(seen_signal, 12);
    must(sigqueue(getpid(), 38, (union sigval){.sival_int = 4711}));
    expect_equal(seen_signal, 38);
    expect_equal(seen_value, 4711);
    must(raise(14));
    expect_equal(seen_signal, 14);
    expect(get(14).handler == SIG_DFL);
    must(raise(15));
    ok();
}
