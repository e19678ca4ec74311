// checkpoint: --save-files
// restart: --changed-files rewind
// snapshot: no it computes all the time
// Threads that write memory as fast as they can and find again what they wrote: over and over, mapped and unmapped, protected, grown, in
// children that have it in common, through a file in memory and its mapping.
#include "beats.h"

enum { THREADS = 5, SIZE = 8 << 20, PIECE = 1 << 20, PAGE = 4096 };
static atomic_bool go;

static void over_and_over(void)
{
    static uint64_t *words, round;
    if (words == NULL)
        fill(words = malloc(SIZE), SIZE, round);
    expect(filled(words, SIZE, round));
    fill(words, SIZE, ++round);
}

static void mapped_anew(void)
{
    static uint64_t round;
    char *piece = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(piece != MAP_FAILED);
    fill(piece, PIECE, ++round);
    must(mprotect(piece + PIECE / 2, PIECE / 2, PROT_READ));
    must(munmap(piece + PAGE, PAGE));
    fill(piece, PAGE, round);
    must(mprotect(piece + PIECE / 2, PIECE / 2, PROT_READ | PROT_WRITE));
    expect(filled(piece, PAGE, round));
    must(munmap(piece, PIECE));
}

static void grown(void)
{
    static uint64_t round;
    char *piece = NULL;
    size_t length = 0;
    round++;
    for (int i = 1; i <= 16; i++) {
        piece = realloc(piece, i * (PIECE / 16));
        if (length > 0)
            expect(filled(piece, length, round));
        fill(piece, length = i * (PIECE / 16), round);
    }
    free(piece);
}

static void in_common(void)
{
    static uint64_t *words, round;
    if (words == NULL)
        words = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(words, PIECE, ++round);
    pid_t child = must(fork());
    if (child == 0) {
        bool right = filled(words, PIECE, round);
        fill(words, PIECE, round + 1000000);
        _exit(right && filled(words, PIECE, round + 1000000) ? 7 : 1);
    }
    expect(filled(words, PIECE, round));
    int status;
    expect_equal(waitpid(child, &status, 0), child);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void by_file(void)
{
    static int file;
    static char *mapping, *text;
    static uint64_t round;
    if (mapping == NULL) {
        must(ftruncate(file = must(memfd_create("busy", MFD_CLOEXEC)), PIECE));
        mapping = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        text = malloc(PIECE);
    }
    fill(text, PIECE, ++round);
    expect_equal(pwrite(file, text, PIECE, 0), PIECE);
    expect(filled(mapping, PIECE, round));
    fill(mapping, PIECE, ++round);
    expect_equal(pread(file, text, PIECE, 0), PIECE);
    expect(filled(text, PIECE, round));
}

static void *run(void *argument)
{
    static void (*const work[THREADS])(void) = {over_and_over, mapped_anew, grown, in_common, by_file};
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
