// Who dies after the restart with a robust mutex held leaves it marked: the kernel still knows each thread's list.
#include "victim.h"

struct board { pthread_mutex_t mutex[3]; atomic_int held, go; };
static struct board *board;

static void *holder(void *argument)
{
    must_zero(pthread_mutex_lock(&board->mutex[(long)argument]));
    atomic_fetch_add(&board->held, 1);
    while (!atomic_load(&board->go))
        nap_ms(5);
    return NULL;
}

int main(void)
{
    pthread_mutexattr_t attributes;
    board = shared_memory(sizeof *board);
    must_zero(pthread_mutexattr_init(&attributes));
    must_zero(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
    must_zero(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED));
    for (int i = 0; i < 3; i++)
        must_zero(pthread_mutex_init(&board->mutex[i], &attributes));
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, holder, (void *)0));
    pid_t ends = must(fork());
    if (ends == 0) {
        holder((void *)1);
        _exit(0);
    }
    pid_t killed = must(fork());
    if (killed == 0) {
        holder((void *)2);
        for (;;)
            nap_ms(10);
    }
    while (atomic_load(&board->held) < 3)
        nap_ms(1);
    ready();
    wait_verify();
    for (int i = 0; i < 3; i++)
        expect_equal(pthread_mutex_trylock(&board->mutex[i]), EBUSY);
    must(kill(killed, SIGKILL));
    must(waitpid(killed, NULL, 0));
    expect_equal(pthread_mutex_lock(&board->mutex[2]), EOWNERDEAD);
    atomic_store(&board->go, 1);
    must_zero(pthread_join(thread, NULL));
    reap_success(ends);
    for (int i = 0; i < 2; i++)
        expect_equal(pthread_mutex_lock(&board->mutex[i]), EOWNERDEAD);
    for (int i = 0; i < 3; i++) {
        must_zero(pthread_mutex_consistent(&board->mutex[i]));
        must_zero(pthread_mutex_unlock(&board->mutex[i]));
    }
    ok();
}
