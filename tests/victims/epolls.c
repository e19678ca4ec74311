// epoll: targets with their events and data, edge-triggered and one-shot ones that have fired, one epoll in another, a
// target whose number has been closed while a duplicate lives, one epoll shared by two processes.
#include "victim.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static void add(int epoll, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static uint64_t next(int epoll)
{
    struct epoll_event event;
    int got = must(epoll_wait(epoll, &event, 1, 0));
    return got == 0 ? 0 : event.data.u64;
}

int main(void)
{
    int outer = must(epoll_create1(EPOLL_CLOEXEC)), inner = must(epoll_create1(0));
    int level = must(eventfd(0, 0)), edge = must(eventfd(0, 0)), shot = must(eventfd(0, 0)), nested = must(eventfd(0, 0));
    int pipes[2];
    must(pipe(pipes));
    add(outer, level, EPOLLIN, 0x1111111122222222);
    add(outer, edge, EPOLLIN | EPOLLET, 2);
    add(outer, shot, EPOLLIN | EPOLLONESHOT, 3);
    add(outer, inner, EPOLLIN, 4);
    add(outer, pipes[1], EPOLLERR, 5);
    add(inner, nested, EPOLLIN, 6);
    // Fired and disabled until it is armed again.
    must(eventfd_write(shot, 1));
    expect_equal(next(outer), 3);
    expect_equal(next(outer), 0);
    // The same object under two numbers, with different data.
    int twin = must(dup(level));
    add(outer, twin, EPOLLIN, 7);
    pid_t pid = must(fork());
    if (pid == 0) {
        struct epoll_event event;
        int got = epoll_wait(inner, &event, 1, -1);
        _exit(got == 1 && event.data.u64 == 6 ? 0 : 1);
    }
    ready();
    wait_verify();
    expect_equal(next(outer), 0);
    must(eventfd_write(level, 1));
    uint64_t a = next(outer), b = next(outer);
    if (!((a == 0x1111111122222222 && b == 7) || (b == 0x1111111122222222 && a == 7)))
        fail("data of the two names of one eventfd: 0x%lx 0x%lx", a, b);
    eventfd_t value;
    must(eventfd_read(level, &value));
    expect_equal(next(outer), 0);
    must(eventfd_write(edge, 1));
    expect_equal(next(outer), 2);
    expect_equal(next(outer), 0);
    // The one-shot target is still disabled, and can be armed.
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 33};
    must(epoll_ctl(outer, EPOLL_CTL_MOD, shot, &event));
    expect_equal(next(outer), 33);
    must(eventfd_write(nested, 1));
    expect_equal(next(outer), 4);
    reap_success(pid);
    must(eventfd_read(nested, &value));
    expect_equal(next(outer), 0);
    must(close(pipes[0]));
    expect_equal(next(outer), 5);
    expect(epoll_ctl(outer, EPOLL_CTL_ADD, level, &event) == -1 && errno == EEXIST);
    expect_equal(must(fcntl(outer, F_GETFD)), FD_CLOEXEC);
    ok();
}
