// checkpoint: --save-files
// restart: --changed-files rewind
// snapshot: no it computes all the time
// Four threads that compute and check themselves without end: floating point, memory, sleeps, a pipe. They count in the
// file `beats`, so that anybody can see that all of them go on.
#include "victim.h"

enum { THREADS = 4 };
struct beats { atomic_ulong count[THREADS]; };
static struct beats *beats;
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
        atomic_fetch_add(&beats->count[number], 1);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int fd = must(open("beats", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(ftruncate(fd, sizeof *beats));
    beats = mmap(NULL, sizeof *beats, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect(beats != MAP_FAILED);
    close(fd);
    // Unhurried: other tests want the processors, too.
    must(setpriority(PRIO_PROCESS, 0, 5));
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    for (int i = 0; i < THREADS; i++)
        while (atomic_load(&beats->count[i]) == 0)
            nap_ms(1);
    ready();
    wait_verify();
    unsigned long before[THREADS];
    for (int i = 0; i < THREADS; i++)
        before[i] = atomic_load(&beats->count[i]);
    for (int i = 0; i < THREADS; i++)
        for (int tries = 0; atomic_load(&beats->count[i]) <= before[i] + 2; tries++) {
            if (tries == 2500)
                fail("thread %d does not go on", i);
            nap_ms(2);
        }
    atomic_store(&go, true);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
