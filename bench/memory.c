/* The C side of the bench: the program that is checkpointed, and the two limits it is compared with.

   memory hold BYTES FILE    fills BYTES of fresh anonymous memory with incompressible data, writes "ready" to FILE, and
                             waits; at each SIGUSR1 it compares all of its memory with what must be there and writes
                             "right" or "wrong" to FILE
   memory write BYTES FILE   the limit of a checkpoint: such memory is copied into FILE and fsync'd; prints nanoseconds
   memory read BYTES FILE    the limit of a restart: FILE is read into fresh anonymous memory; prints nanoseconds, and
                             nanoseconds until the memory was also compared once */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 4 << 20 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static long long nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static char *fresh(size_t bytes)
{
    char *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return memory;
}

static void fill(char *memory, size_t bytes)
{
    uint64_t state = 88172645463325252ull;
    for (size_t i = 0; i < bytes / 8; i++) ((uint64_t *)memory)[i] = next(&state);
}

static int right(const char *memory, size_t bytes)
{
    uint64_t state = 88172645463325252ull;
    for (size_t i = 0; i < bytes / 8; i++)
        if (((const uint64_t *)memory)[i] != next(&state)) return 0;
    return 1;
}

/* Under another name first, so that a reader never sees half of it. */
static void say(const char *path, const char *word)
{
    char other[4096];
    snprintf(other, sizeof other, "%s.new", path);
    int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) fail(other);
    if (write(fd, word, strlen(word)) < 0) fail("write");
    close(fd);
    if (rename(other, path) != 0) fail("rename");
}

static void nothing(int signal) { (void)signal; }

static void hold(size_t bytes, const char *path)
{
    struct sigaction action = {.sa_handler = nothing};
    sigset_t set, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, 0);
    sigaction(SIGUSR1, &action, 0);
    char *memory = fresh(bytes);
    fill(memory, bytes);
    say(path, "ready");
    for (;;) {
        sigsuspend(&none);
        say(path, right(memory, bytes) ? "right" : "wrong");
    }
}

static void write_file(size_t bytes, const char *path)
{
    char *memory = fresh(bytes);
    fill(memory, bytes);
    unlink(path);
    long long began = nanoseconds();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) fail(path);
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, memory + done, bytes - done < PIECE ? bytes - done : PIECE);
        if (n < 0) fail("write");
        done += n;
    }
    if (fsync(fd) != 0) fail("fsync");
    close(fd);
    printf("%lld\n", nanoseconds() - began);
}

static void read_file(size_t bytes, const char *path)
{
    long long began = nanoseconds();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail(path);
    char *memory = fresh(bytes);
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(fd, memory + done, bytes - done < PIECE ? bytes - done : PIECE);
        if (n <= 0) fail("read");
        done += n;
    }
    close(fd);
    long long there = nanoseconds();
    if (!right(memory, bytes)) {
        fprintf(stderr, "%s holds something else\n", path);
        exit(1);
    }
    printf("%lld %lld\n", there - began, nanoseconds() - began);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: memory hold|write|read BYTES FILE\n");
        return 64;
    }
    size_t bytes = strtoull(argv[2], 0, 10);
    if (strcmp(argv[1], "hold") == 0) hold(bytes, argv[3]);
    else if (strcmp(argv[1], "write") == 0) write_file(bytes, argv[3]);
    else if (strcmp(argv[1], "read") == 0) read_file(bytes, argv[3]);
    else return 64;
    return 0;
}
