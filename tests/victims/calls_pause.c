// pause, and calls that a handler without SA_RESTART interrupts: EINTR comes exactly when the signal does, not before.
#include "victim.h"

static atomic_int started;
static __thread volatile sig_atomic_t seen;
static void handler(int number) { seen = number; }
static int idle[2];

static void *run(void *argument)
{
    long number = (long)argument;
    char byte;
    struct timespec left = {0}, wanted = {1000, 0};
    atomic_fetch_add(&started, 1);
    int result = 0;
    switch (number) {
    case 0: result = pause(); break;
    case 1: result = read(idle[0], &byte, 1); break;
    case 2: result = nanosleep(&wanted, &left); break;
    case 3: result = poll(NULL, 0, 1000000); break;
    }
    if (result != -1 || errno != EINTR || seen != SIGUSR1)
        fail("call %ld gave %d, errno %d, signal seen: %d", number, result, errno, seen);
    // What is left of a sleep: no more than the whole, and of the right size.
    if (number == 2 && (left.tv_sec > 1000 || left.tv_sec < 980))
        fail("nanosleep says %ld s are left of 1000", left.tv_sec);
    return NULL;
}

static void *restarts(void *unused)
{
    char byte;
    atomic_fetch_add(&started, 1);
    // This one's signal has a handler with SA_RESTART.
    if (read(idle[0], &byte, 1) != 1 || seen != SIGUSR2)
        fail("read with SA_RESTART: errno %d, signal seen: %d", errno, seen);
    return unused;
}

int main(void)
{
    pthread_t threads[5];
    must(pipe(idle));
    must(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler}, NULL));
    must(sigaction(SIGUSR2, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART}, NULL));
    for (long i = 0; i < 5; i++)
        must_zero(pthread_create(&threads[i], NULL, i == 4 ? restarts : run, (void *)i));
    while (atomic_load(&started) < 5)
        nap_ms(1);
    nap_ms(20);
    ready();
    wait_verify();
    nap_ms(20);
    for (int i = 0; i < 4; i++)
        must_zero(pthread_kill(threads[i], SIGUSR1));
    for (int i = 0; i < 4; i++)
        must_zero(pthread_join(threads[i], NULL));
    must_zero(pthread_kill(threads[4], SIGUSR2));
    nap_ms(20);
    must(write(idle[1], "x", 1));
    must_zero(pthread_join(threads[4], NULL));
    ok();
}
