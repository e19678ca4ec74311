// Threads waiting with a temporary signal mask (sigsuspend, ppoll, pselect, epoll_pwait) go on waiting with it, and have
// their own mask again when the signal has come.
#include "victim.h"
#include <sys/epoll.h>
#include <sys/select.h>

static atomic_int started;
static __thread volatile sig_atomic_t seen;
static void handler(int number) { seen = number; }

static void *run(void *argument)
{
    long number = (long)argument;
    sigset_t mask, during;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, 40 + (int)number);
    must_zero(pthread_sigmask(SIG_SETMASK, &mask, NULL));
    sigemptyset(&during);
    sigaddset(&during, 50 + (int)number);
    atomic_fetch_add(&started, 1);
    int result = 0;
    struct epoll_event event;
    switch (number) {
    case 0: result = sigsuspend(&during); break;
    case 1: result = ppoll(NULL, 0, NULL, &during); break;
    case 2: result = pselect(0, NULL, NULL, NULL, NULL, &during); break;
    case 3: result = epoll_pwait(must(epoll_create1(0)), &event, 1, -1, &during); break;
    }
    int error = errno;
    if (result != -1 || error != EINTR || seen != SIGUSR1)
        fail("wait %ld gave %d, errno %d, signal seen: %d", number, result, error, seen);
    sigset_t after;
    must_zero(pthread_sigmask(SIG_SETMASK, NULL, &after));
    if (memcmp(&after, &mask, 8) != 0)
        fail("wait %ld: the mask afterwards is 0x%lx, not 0x%lx", number, *(long *)&after, *(long *)&mask);
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    must(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler}, NULL));
    for (long i = 0; i < 4; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    while (atomic_load(&started) < 4)
        nap_ms(1);
    nap_ms(20);
    ready();
    wait_verify();
    for (int i = 0; i < 4; i++)
        must_zero(pthread_kill(threads[i], SIGUSR1));
    for (int i = 0; i < 4; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
