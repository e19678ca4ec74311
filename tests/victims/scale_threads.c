// scale: 1,000 threads
#include "victim.h"

enum { THREADS = 1000 };
static atomic_int started, verified;
static atomic_bool go;
static __thread long number_here;

static void *run(void *argument)
{
    uint64_t words[32];
    number_here = (long)argument;
    fill(words, sizeof words, number_here);
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&go))
        nap_ms(200);
    expect_equal(number_here, (long)argument);
    expect(filled(words, sizeof words, number_here));
    atomic_fetch_add(&verified, 1);
    return argument;
}

int main(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t attributes;
    must_zero(pthread_attr_init(&attributes));
    must_zero(pthread_attr_setstacksize(&attributes, 65536));
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], &attributes, run, (void *)i));
    while (atomic_load(&started) < THREADS)
        nap_ms(5);
    ready();
    wait_verify();
    atomic_store(&go, true);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    expect_equal(atomic_load(&verified), THREADS);
    ok();
}
