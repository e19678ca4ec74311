// Every thread has its own signal mask and alternate stack; both are kept, and a handler runs on that stack.
#include "victim.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)  // linux/signal.h
#endif

enum { THREADS = 6 };

static atomic_int started;
static atomic_bool go;
static __thread char *stack_low;
static __thread volatile int on_stack;

static void handler(int number)
{
    (void)number;
    char here;
    on_stack = stack_low != NULL && &here >= stack_low && &here < stack_low + 32768 ? 1 : -1;
}

static void *run(void *argument)
{
    long number = (long)argument;
    sigset_t mask, after;
    sigemptyset(&mask);
    for (int i = 0; i < 10; i++)
        sigaddset(&mask, (int)(36 + (number * 3 + i * 2) % 28));
    must_zero(pthread_sigmask(SIG_SETMASK, &mask, NULL));
    stack_t stack = {.ss_flags = SS_DISABLE}, kept;
    if (number % 2) {
        stack_low = malloc(32768);
        stack = (stack_t){.ss_sp = stack_low, .ss_size = 32768, .ss_flags = number == 3 ? (int)SS_AUTODISARM : 0};
        must(sigaltstack(&stack, NULL));
    }
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&go))
        nap_ms(10);
    must_zero(pthread_sigmask(SIG_SETMASK, NULL, &after));
    // Only the 64 signals of the kernel: the rest of sigset_t is not filled in.
    expect(memcmp(&mask, &after, 8) == 0);
    must(sigaltstack(NULL, &kept));
    expect_equal(kept.ss_flags, stack.ss_flags);
    if (number % 2)
        expect(kept.ss_sp == stack.ss_sp && kept.ss_size == stack.ss_size);
    must_zero(pthread_kill(pthread_self(), SIGUSR1));
    expect_equal(on_stack, number % 2 ? 1 : -1);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    must(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_ONSTACK}, NULL));
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    while (atomic_load(&started) < THREADS)
        nap_ms(1);
    ready();
    wait_verify();
    atomic_store(&go, true);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
