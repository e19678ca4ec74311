// POSIX message queues: what waits in them by priority and age, names and unlinked ones, attributes, notifications, and who waits.
#include "victim.h"
#include <mqueue.h>
#include <syscall.h>

enum { LARGE = 8192 };

static char text[LARGE];

static void expect_text(mqd_t queue, unsigned priority, const void *wanted, size_t length)
{
    unsigned its;
    expect_equal(must(mq_receive(queue, text, sizeof text, &its)), length);
    expect_equal(its, priority);
    expect(memcmp(text, wanted, length) == 0);
}

static volatile sig_atomic_t told, value;

static void hear(int signal, siginfo_t *information, void *context)
{
    (void)context;
    if (signal == SIGUSR1 && information->si_code == SI_MESGQ) {
        value = information->si_value.sival_int;
        told++;
    }
}

static void *wait_for_one(void *queue)
{
    char mine[LARGE];
    unsigned priority;
    expect_equal(must(mq_receive(*(mqd_t *)queue, mine, sizeof mine, &priority)), 4);
    expect_equal(priority, 9);
    expect(memcmp(mine, "late", 4) == 0);
    return NULL;
}

static _Atomic int called;

static void call(union sigval value)
{
    called = value.sival_int;
}

int main(void)
{
    char name[64], gone[80], idle[80];
    snprintf(name, sizeof name, "/stasis-victim-%ld", (long)now_ns(CLOCK_REALTIME));
    snprintf(gone, sizeof gone, "%s-gone", name);
    snprintf(idle, sizeof idle, "%s-idle", name);
    struct mq_attr small = {.mq_maxmsg = 7, .mq_msgsize = 100};
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0640, NULL);
    if (queue == (mqd_t)-1)
        skip("no message queues here");
    mqd_t reader = must(mq_open(name, O_RDONLY | O_NONBLOCK));
    mqd_t nameless = must(mq_open(gone, O_RDWR | O_CREAT | O_EXCL, 0600, &small));
    must(mq_unlink(gone));
    // Another one under the name of the one that has none any more.
    mqd_t second = must(mq_open(gone, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &small));
    must(mq_unlink(gone));
    must(fcntl(nameless, F_SETFD, 0));
    // One that nobody has open: it stays where it is, or (stasis run) goes with its namespace.
    mqd_t unused = must(mq_open(idle, O_RDWR | O_CREAT | O_EXCL, 0610, &small));
    must(mq_send(unused, "unused", 6, 2));
    must(mq_close(unused));
    static char large[LARGE];
    fill(large, sizeof large, 1);
    must(mq_send(queue, "one", 3, 5));
    must(mq_send(queue, large, sizeof large, 5));
    must(mq_send(queue, "", 0, 0));
    must(mq_send(queue, "high", 4, 32767));
    must(mq_send(queue, "three", 5, 5));
    must(mq_send(queue, large, 4048, 1)); // as much as fits beside the kernel's own words in a page
    must(mq_send(queue, large, 4049, 1));
    for (int i = 0; i < 7; i++)
        must(mq_send(nameless, (char *)&i, sizeof i, i % 3));
    // A signal, a thread of the C library's, and one that waits.
    must(sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = hear, .sa_flags = SA_SIGINFO | SA_RESTART}, NULL));
    must(mq_notify(second, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77}));
    mqd_t threaded = must(mq_open(gone, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &small));
    must(mq_unlink(gone));
    must(mq_notify(threaded, &(struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = call, .sigev_value.sival_int = 88}));
    mqd_t waited = must(mq_open(gone, O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
    must(mq_unlink(gone));
    pthread_t waiting;
    must_zero(pthread_create(&waiting, NULL, wait_for_one, &waited));
    // A child with the same queue, for which it waits too.
    pid_t child = must(fork());
    if (child == 0) {
        char mine[100];
        while (mq_receive(second, mine, sizeof mine, NULL) != 5)
            nap_ms(5);
        _exit(memcmp(mine, "child", 5) == 0 ? 0 : 1);
    }
    nap_ms(20);
    await_new_threads();
    ready();
    wait_verify();
    struct mq_attr attributes;
    must(mq_getattr(queue, &attributes));
    expect_equal(attributes.mq_flags, 0);
    expect_equal(attributes.mq_curmsgs, 7);
    must(mq_getattr(nameless, &attributes));
    expect(attributes.mq_maxmsg == 7 && attributes.mq_msgsize == 100 && attributes.mq_curmsgs == 7);
    expect_equal(must(fcntl(nameless, F_GETFD)), 0);
    expect_equal(must(fcntl(queue, F_GETFD)), FD_CLOEXEC);
    struct stat status;
    must(fstat(queue, &status));
    expect_equal(status.st_mode & 0777, 0640);
    expect_equal(status.st_nlink, 1);
    must(fstat(nameless, &status));
    expect_equal(status.st_nlink, 0);
    expect(mq_send(reader, "", 0, 0) == -1 && errno == EBADF);
    expect_text(reader, 32767, "high", 4);
    expect_text(queue, 5, "one", 3);
    expect_text(queue, 5, large, sizeof large);
    expect_text(queue, 5, "three", 5);
    expect_text(queue, 1, large, 4048);
    expect_text(queue, 1, large, 4049);
    expect_text(queue, 0, "", 0);
    expect(mq_receive(reader, text, sizeof text, NULL) == -1 && errno == EAGAIN);
    for (int i = 2; i >= 0; i--)
        for (int number = i; number < 7; number += 3)
            expect_text(nameless, i, &number, sizeof number);
    unused = must(mq_open(idle, O_RDONLY));
    must(mq_getattr(unused, &attributes));
    expect(attributes.mq_maxmsg == 7 && attributes.mq_msgsize == 100 && attributes.mq_curmsgs == 1);
    must(fstat(unused, &status));
    expect_equal(status.st_mode & 0777, 0610);
    must(mq_close(unused));
    // Only one may be registered; it is told once.
    expect(mq_notify(second, &(struct sigevent){.sigev_notify = SIGEV_NONE}) == -1 && errno == EBUSY);
    must(mq_send(second, "child", 5, 0));
    while (told == 0)
        nap_through_signals_ms(2);
    expect_equal(value, 77);
    reap_success(child);
    must(mq_send(threaded, "x", 1, 0));
    while (called == 0)
        nap_ms(2);
    expect_equal(called, 88);
    must(mq_send(waited, "late", 4, 9));
    must_zero(pthread_join(waiting, NULL));
    // It stays, with something else in it: a restart of the same image takes that back.
    must(mq_send(queue, "strange", 7, 3));
    ok();
}
