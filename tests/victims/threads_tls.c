// Fifty threads, each with its own thread-local storage, name, stack pattern and id.
#include "victim.h"

enum { THREADS = 50 };

static __thread volatile uint64_t local_words[64];
static __thread int local_errno_like;
static atomic_int started, verified;
static atomic_bool go;

static void *run(void *argument)
{
    long number = (long)argument;
    char name[16], now[16];
    snprintf(name, sizeof name, "tls-%ld", number);
    must_zero(pthread_setname_np(pthread_self(), name));
    uint64_t stack_words[256];
    fill(stack_words, sizeof stack_words, number);
    for (int i = 0; i < 64; i++)
        local_words[i] = mix(number * 1000 + i);
    local_errno_like = (int)number;
    errno = (int)number;
    pid_t id = syscall(SYS_gettid);
    atomic_fetch_add(&started, 1);
    int kept = errno;
    while (!atomic_load(&go))
        nap_ms(10);
    expect_equal(kept, number);
    expect_equal(errno, number);
    expect_equal(syscall(SYS_gettid), id);
    expect_equal(local_errno_like, number);
    for (int i = 0; i < 64; i++)
        expect(local_words[i] == mix(number * 1000 + i));
    expect(filled(stack_words, sizeof stack_words, number));
    must_zero(pthread_getname_np(pthread_self(), now, sizeof now));
    expect(strcmp(name, now) == 0);
    atomic_fetch_add(&verified, 1);
    return (void *)(number * 3);
}

int main(void)
{
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    while (atomic_load(&started) < THREADS)
        nap_ms(1);
    ready();
    wait_verify();
    atomic_store(&go, true);
    for (long i = 0; i < THREADS; i++) {
        void *result;
        must_zero(pthread_join(threads[i], &result));
        expect_equal((long)result, i * 3);
    }
    expect_equal(atomic_load(&verified), THREADS);
    ok();
}
