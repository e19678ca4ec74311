// epoll on signalfds: it must wake on each signal, also where the number it was added under means something else by now, or
// nothing, and in a child that shares neither.
#include "victim.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

static int epoll;
static atomic_int *prepared;

static int new_signalfd(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    return must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

static void add(int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static void *send_later(void *signal)
{
    nap_ms(50);
    must(kill(getpid(), (int)(intptr_t)signal));
    return NULL;
}

// A thread that already waits is woken, a signal at a time; not only the first.
static void woken_by(int signal, int fd, uint64_t data)
{
    for (int turn = 0; turn < 3; turn++) {
        struct signalfd_siginfo info;
        struct epoll_event event;
        pthread_t sender;
        expect_equal(epoll_wait(epoll, &event, 1, 0), 0);
        must_zero(pthread_create(&sender, NULL, send_later, (void *)(intptr_t)signal));
        expect_equal(epoll_wait(epoll, &event, 1, 5000), 1);
        expect_equal(event.data.u64, data);
        expect_equal(read(fd, &info, sizeof info), sizeof info);
        expect_equal(info.ssi_signo, signal);
        must_zero(pthread_join(sender, NULL));
    }
}

static void run(bool first)
{
    epoll = must(epoll_create1(EPOLL_CLOEXEC));
    int plain = new_signalfd(SIGUSR1), edge = new_signalfd(SIGUSR2), moved = new_signalfd(SIGWINCH), closed = new_signalfd(SIGURG);
    add(plain, EPOLLIN, 1);
    add(edge, EPOLLIN | EPOLLET, 0xfedcba9876543210);
    add(moved, EPOLLIN, 3);
    add(closed, EPOLLIN, 4);
    int moved_to = must(dup(moved)), closed_to = must(dup(closed)), event = must(eventfd(7, EFD_CLOEXEC));
    must(dup3(event, moved, O_CLOEXEC));
    must(close(closed));
    atomic_fetch_add(prepared, 1);
    while (first && atomic_load(prepared) < 2)
        nap_ms(2);
    if (first)
        ready();
    wait_verify();
    woken_by(SIGUSR1, plain, 1);
    woken_by(SIGUSR2, edge, 0xfedcba9876543210);
    woken_by(SIGWINCH, moved_to, 3);
    woken_by(SIGURG, closed_to, 4);
    expect_equal(fcntl(closed, F_GETFD), -1);
    uint64_t value;
    expect_equal(read(moved, &value, sizeof value), sizeof value);
    expect_equal(value, 7);
    expect_equal(fcntl(moved, F_GETFD), FD_CLOEXEC);
}

int main(void)
{
    prepared = shared_memory(sizeof *prepared);
    pid_t child = must(fork());
    if (child == 0) {
        run(false);
        _exit(0);
    }
    run(true);
    reap_success(child);
    ok();
}
