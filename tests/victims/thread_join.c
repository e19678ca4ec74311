// Threads that end after the restart wake those who join them: the kernel clears their id and wakes its futex.
#include "victim.h"

static atomic_bool go;

static void *run(void *argument)
{
    while (!atomic_load(&go))
        nap_ms(5);
    nap_ms(20);
    return argument;
}

static void *joiner(void *other)
{
    void *result;
    // In this call from before the checkpoint to after the restart.
    must_zero(pthread_join(*(pthread_t *)other, &result));
    return result;
}

int main(void)
{
    pthread_t threads[4], joiners[4];
    for (long i = 0; i < 4; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)(i + 70)));
    for (int i = 0; i < 4; i++)
        must_zero(pthread_create(&joiners[i], NULL, joiner, &threads[i]));
    nap_ms(20);
    ready();
    wait_verify();
    atomic_store(&go, true);
    for (long i = 0; i < 4; i++) {
        void *result;
        must_zero(pthread_join(joiners[i], &result));
        expect_equal((long)result, i + 70);
    }
    // And threads can be made as before.
    pthread_t late;
    void *result;
    must_zero(pthread_create(&late, NULL, run, (void *)5));
    must_zero(pthread_join(late, &result));
    expect_equal((long)result, 5);
    ok();
}
