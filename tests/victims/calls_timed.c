// tier: long it measures how long calls take
// Waits with a time limit, one thread for each kind: none ends early, with EINTR, or never.
#include "victim.h"
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/select.h>

enum { LIMIT_MS = 700 };

static atomic_int started;
static const struct timespec relative = {LIMIT_MS / 1000, LIMIT_MS % 1000 * 1000000L};

// clock: the one that a wait is told its end by; the monotonic one stands still while an image lies on disk.
struct kind { const char *name; int (*wait)(void); int error; clockid_t clock; };

static int by_nanosleep(void) { return nanosleep(&relative, NULL); }
static int by_clock_nanosleep(void) { return errno = clock_nanosleep(CLOCK_BOOTTIME, 0, &relative, NULL); }
static int by_clock_nanosleep_absolute(void)
{
    int64_t end = now_ns(CLOCK_MONOTONIC) + LIMIT_MS * 1000000LL;
    struct timespec time = {end / 1000000000, end % 1000000000};
    return errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}
static int by_poll(void) { return poll(NULL, 0, LIMIT_MS); }
static int by_ppoll(void) { return ppoll(NULL, 0, &relative, NULL); }
static int by_select(void)
{
    struct timeval time = {LIMIT_MS / 1000, LIMIT_MS % 1000 * 1000};
    return select(0, NULL, NULL, NULL, &time);
}
static int by_pselect(void) { return pselect(0, NULL, NULL, NULL, &relative, NULL); }
static int by_epoll_wait(void)
{
    struct epoll_event event;
    int fd = must(epoll_create1(0)), result = epoll_wait(fd, &event, 1, LIMIT_MS);
    close(fd);
    return result;
}
static int by_futex(void)
{
    static int word;
    return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &relative, NULL, 0);
}
static int by_futex_bitset(void)
{
    static int word;
    int64_t end = now_ns(CLOCK_MONOTONIC) + LIMIT_MS * 1000000LL;
    struct timespec time = {end / 1000000000, end % 1000000000};
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &time, NULL, -1);
}
static int by_condition(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    int64_t end = now_ns(CLOCK_REALTIME) + LIMIT_MS * 1000000LL;
    struct timespec time = {end / 1000000000, end % 1000000000};
    must_zero(pthread_mutex_lock(&mutex));
    errno = pthread_cond_timedwait(&condition, &mutex, &time);
    int error = errno;
    must_zero(pthread_mutex_unlock(&mutex));
    errno = error;
    return -1;
}
static int by_sigtimedwait(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return sigtimedwait(&set, NULL, &relative);
}
static int by_recv(void)
{
    int pair[2];
    char byte;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    must(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, LIMIT_MS * 1000}, sizeof(struct timeval)));
    int result = recv(pair[0], &byte, 1, 0), error = errno;
    close(pair[0]);
    close(pair[1]);
    errno = error;
    return result;
}

static const struct kind kinds[] = {
    {"nanosleep", by_nanosleep, 0, CLOCK_MONOTONIC},
    {"clock_nanosleep", by_clock_nanosleep, 0, CLOCK_MONOTONIC},
    {"clock_nanosleep TIMER_ABSTIME", by_clock_nanosleep_absolute, 0, CLOCK_MONOTONIC},
    {"poll", by_poll, 0, CLOCK_MONOTONIC},
    {"ppoll", by_ppoll, 0, CLOCK_MONOTONIC},
    {"select", by_select, 0, CLOCK_MONOTONIC},
    {"pselect", by_pselect, 0, CLOCK_MONOTONIC},
    {"epoll_wait", by_epoll_wait, 0, CLOCK_MONOTONIC},
    {"futex FUTEX_WAIT", by_futex, ETIMEDOUT, CLOCK_MONOTONIC},
    {"futex FUTEX_WAIT_BITSET", by_futex_bitset, ETIMEDOUT, CLOCK_MONOTONIC},
    {"pthread_cond_timedwait", by_condition, ETIMEDOUT, CLOCK_REALTIME},
    {"rt_sigtimedwait", by_sigtimedwait, EAGAIN, CLOCK_MONOTONIC},
    {"recvfrom with SO_RCVTIMEO", by_recv, EAGAIN, CLOCK_MONOTONIC},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void *run(void *argument)
{
    const struct kind *kind = argument;
    atomic_fetch_add(&started, 1);
    for (bool last = false; !last;) {
        last = told_to_verify();
        int64_t begin = now_ns(kind->clock);
        errno = 0;
        int result = kind->wait(), error = errno;
        int64_t took_ms = (now_ns(kind->clock) - begin) / 1000000;
        if (result != (kind->error ? -1 : 0) || error != kind->error)
            fail("%s gave %d, errno %d (%s) after %ld ms", kind->name, result, error, strerror(error), took_ms);
        if (took_ms < LIMIT_MS - 2)
            fail("%s ended after %ld ms, not %d", kind->name, took_ms, LIMIT_MS);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[KINDS];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < KINDS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)&kinds[i]));
    while (atomic_load(&started) < KINDS)
        nap_ms(1);
    nap_ms(30);
    ready();
    wait_verify();
    struct timespec limit;
    must(clock_gettime(CLOCK_REALTIME, &limit));
    limit.tv_sec += 5;
    for (int i = 0; i < KINDS; i++)
        if (pthread_timedjoin_np(threads[i], NULL, &limit) != 0)
            fail("%s does not end", kinds[i].name);
    ok();
}
