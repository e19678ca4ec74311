// checkpoint: --save-files
// restart: --changed-files rewind
// snapshot: no it computes all the time
// Four threads that compute and check themselves without end: floating point, memory, sleeps, a pipe.
#include "beats.h"

enum { THREADS = 4 };
static atomic_bool go;

static double series(int rounds)
{
    double sum = 0, sign = 1;
    for (int i = 0; i < rounds; i++, sign = -sign)
        sum += sign / (2 * i + 1);
    return sum;
}

static void by_floating_point(void)
{
    static double first;
    double value = series(200000);
    if (first == 0)
        first = value;
    if (value != first)
        fail("the floating-point series gave %.17g, not %.17g", value, first);
}

static void by_memory(void)
{
    static uint64_t *words, round;
    enum { SIZE = 4 << 20 };
    if (!words)
        fill(words = malloc(SIZE), SIZE, round);
    expect(filled(words, SIZE, round));
    fill(words, SIZE, ++round);
}

static void by_sleep(void)
{
    int64_t begin = now_ns(CLOCK_MONOTONIC);
    nap_ms(3);
    expect(now_ns(CLOCK_MONOTONIC) - begin >= 3000000);
}

static void by_pipe(void)
{
    static int pipes[2];
    static uint64_t sent, received;
    if (pipes[1] == 0)
        must(pipe(pipes));
    for (int i = 0; i < 100; i++) {
        sent = mix(sent);
        expect_equal(write(pipes[1], &sent, 8), 8);
    }
    for (int i = 0; i < 100; i++) {
        uint64_t got;
        expect_equal(read(pipes[0], &got, 8), 8);
        received = mix(received);
        expect(got == received);
    }
}

static void *run(void *argument)
{
    static void (*const work[THREADS])(void) = {by_floating_point, by_memory, by_sleep, by_pipe};
    long number = (long)argument;
    while (!atomic_load(&go)) {
        work[number]();
        beat(number);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    make_beats(THREADS);
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    await_beats();
    ready();
    wait_verify();
    await_beats();
    atomic_store(&go, true);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
