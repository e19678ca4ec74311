// Checkpointed inside signal handlers, one nested in another, on an alternate stack: the way back works.
#include "victim.h"

static volatile int depth, finished;
static volatile double value = 1.0;

static void inner(int number)
{
    (void)number;
    uint64_t words[64];
    fill(words, sizeof words, 2);
    depth = 2;
    ready();
    wait_verify();
    expect(filled(words, sizeof words, 2));
    sigset_t mask;
    must(sigprocmask(SIG_SETMASK, NULL, &mask));
    expect(sigismember(&mask, SIGUSR2) && sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGHUP));
    stack_t stack;
    must(sigaltstack(NULL, &stack));
    expect_equal(stack.ss_flags, SS_ONSTACK);
    finished++;
}

static void outer(int number)
{
    (void)number;
    uint64_t words[64];
    fill(words, sizeof words, 1);
    depth = 1;
    must(raise(SIGUSR2));
    expect(filled(words, sizeof words, 1));
    finished++;
}

int main(void)
{
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    must(sigaltstack(&stack, NULL));
    struct sigaction action = {.sa_handler = outer, .sa_flags = SA_ONSTACK};
    sigaddset(&action.sa_mask, SIGHUP);
    must(sigaction(SIGUSR1, &action, NULL));
    must(sigaction(SIGUSR2, &(struct sigaction){.sa_handler = inner, .sa_flags = SA_ONSTACK}, NULL));
    double kept = value * 1.25;
    must(raise(SIGUSR1));
    expect_equal(finished, 2);
    expect(kept == value * 1.25);
    sigset_t mask;
    must(sigprocmask(SIG_SETMASK, NULL, &mask));
    for (int i = 1; i < 32; i++)
        expect(!sigismember(&mask, i));
    must(sigaltstack(NULL, &stack));
    expect_equal(stack.ss_flags, 0);
    ok();
}
