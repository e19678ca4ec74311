// What every victim has in common. A victim sets up its state, says "ready", does nothing until it is told "verify",
// then checks itself and leaves "ok" or "FAIL: reason" in the file `result`. All files are in its working directory.
#ifndef VICTIM_H
#define VICTIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The first to say something is believed: a child that fails must not be overruled by a parent that is content.
static void say(const char *name, const char *text)
{
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0)
        _exit(3);
    close(fd);
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    char text[512] = "FAIL: ";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + 6, sizeof text - 6, format, arguments);
    va_end(arguments);
    say("result", text);
    _exit(1);
}

__attribute__((noreturn)) static inline void ok(void)
{
    say("result", "ok");
    _exit(0);
}

#define must(call)                                                                         \
    ({                                                                                     \
        long value_ = (long)(call);                                                        \
        if (value_ == -1)                                                                  \
            fail("line %d: %s: %s", __LINE__, #call, strerror(errno));                     \
        value_;                                                                            \
    })

#define expect(condition)                                                                  \
    do {                                                                                   \
        if (!(condition))                                                                  \
            fail("line %d: not true: %s", __LINE__, #condition);                           \
    } while (0)

#define expect_equal(actual, wanted)                                                       \
    do {                                                                                   \
        long long actual_ = (long long)(actual), wanted_ = (long long)(wanted);            \
        if (actual_ != wanted_)                                                            \
            fail("line %d: %s is %lld (0x%llx), not %lld (0x%llx)", __LINE__, #actual,     \
                 actual_, (unsigned long long)actual_, wanted_, (unsigned long long)wanted_); \
    } while (0)

// Functions of pthreads return their error instead of setting errno.
#define must_zero(call)                                                                    \
    do {                                                                                   \
        int error_ = (call);                                                               \
        if (error_ != 0)                                                                   \
            fail("line %d: %s: %s", __LINE__, #call, strerror(error_));                    \
    } while (0)

static inline int64_t now_ns(clockid_t clock)
{
    struct timespec time;
    must(clock_gettime(clock, &time));
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static inline void nap_ms(int milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    if (nanosleep(&time, NULL) != 0)
        fail("nanosleep was interrupted: %s", strerror(errno));
}

// As nap_ms, for victims in which signal handlers run.
static inline void nap_through_signals_ms(int milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    while (nanosleep(&time, &time) != 0)
        if (errno != EINTR)
            fail("nanosleep: %s", strerror(errno));
}

static inline void ready(void)
{
    say("ready", "ready");
}

static inline bool told_to_verify(void)
{
    struct stat status;
    return stat("verify", &status) == 0 && status.st_size > 0;
}

static inline void wait_verify(void)
{
    while (!told_to_verify())
        nap_ms(5);
}

static inline void wait_verify_through_signals(void)
{
    while (!told_to_verify())
        nap_through_signals_ms(5);
}

// Memory that a victim and its children share to report to each other.
// A thread is born with all signals blocked, and the C library undoes that when it runs (signals 32 and 33, which only the library blocks,
// tell): also one that the library has made for itself, which says nothing when it is there.
static inline void await_new_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    expect(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], line[256];
        unsigned long long blocked = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        do {
            FILE *status = task->d_name[0] == '.' ? NULL : fopen(path, "r");
            while (status != NULL && fgets(line, sizeof line, status) != NULL)
                sscanf(line, "SigBlk: %llx", &blocked);
            if (status != NULL)
                fclose(status);
        } while ((blocked >> 31 & 3) != 0 && (nap_ms(1), true));
    }
    closedir(tasks);
}

static inline void *shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("mmap: %s", strerror(errno));
    return memory;
}

// Waits for a child and fails unless it ended with 0.
static inline void reap_success(pid_t child)
{
    int status;
    expect_equal(must(waitpid(child, &status, 0)), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("child %d ended with status 0x%x", child, status);
}

// Until a process has ended, or its main thread while others go on: it is a zombie, or gone.
static inline void await_end(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    for (;; nap_ms(1)) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            expect_equal(errno, ENOENT);
            return;
        }
        ssize_t length = read(fd, text, sizeof text - 1);
        close(fd);
        if (length <= 0)
            return;
        text[length] = 0;
        if (strrchr(text, ')')[2] == 'Z')
            return;
    }
}

// Runs `body` in a process that is no descendant of this one, and that lives as long as the cage.
static inline void outside(void (*body)(void))
{
    int began[2];
    char byte;
    must(pipe2(began, O_CLOEXEC));
    pid_t middle = must(fork());
    if (middle == 0) {
        if (must(fork()) > 0)
            _exit(0);
        must(setsid());
        must(prctl(PR_SET_NAME, "outside"));
        while (getppid() != 1)
            nap_ms(1);
        body();
        must(write(began[1], "x", 1));
        // A tracer hears of its tracee's end first, and must take it before the parent can.
        for (;;) {
            nap_through_signals_ms(20);
            waitpid(-1, NULL, WNOHANG | __WALL);
        }
    }
    must(waitpid(middle, NULL, 0));
    expect_equal(must(read(began[0], &byte, 1)), 1);
    close(began[0]);
    close(began[1]);
}

// What this kernel or cage does not have cannot be tested: said instead of "ready".
__attribute__((noreturn)) static inline void skip(const char *reason)
{
    say("skip", reason);
    say("ready", "skip");
    _exit(0);
}

static inline uint64_t mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

static inline void fill(void *memory, size_t bytes, uint64_t seed)
{
    uint64_t *words = memory;
    for (size_t i = 0; i < bytes / 8; i++)
        words[i] = mix(seed + i);
}

static inline bool filled(const void *memory, size_t bytes, uint64_t seed)
{
    const uint64_t *words = memory;
    for (size_t i = 0; i < bytes / 8; i++)
        if (words[i] != mix(seed + i))
            return false;
    return true;
}

// The whole of a file of /proc, for comparing it before and after. The caller frees it.
static inline char *read_all(const char *path, size_t *length)
{
    int fd = must(open(path, O_RDONLY | O_CLOEXEC));
    size_t size = 0, room = 65536;
    char *text = malloc(room + 1);
    for (;;) {
        ssize_t got = must(read(fd, text + size, room - size));
        if (got == 0)
            break;
        size += got;
        if (size == room)
            text = realloc(text, (room *= 2) + 1);
    }
    close(fd);
    text[size] = 0;
    if (length)
        *length = size;
    return text;
}

#endif
