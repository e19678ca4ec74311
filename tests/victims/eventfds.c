// eventfd: value, semaphore mode, flags, one shared by two processes.
#include "victim.h"
#include <sys/eventfd.h>

int main(void)
{
    eventfd_t value;
    int plain = must(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC)), semaphore = must(eventfd(4, EFD_SEMAPHORE)),
        large = must(eventfd(0, EFD_NONBLOCK)), shared = must(eventfd(0, 0));
    must(eventfd_write(plain, 39));
    must(eventfd_write(large, 0xfffffffffffffffeULL));
    pid_t pid = must(fork());
    if (pid == 0) {
        must(eventfd_read(shared, &value));
        _exit(value == 12 ? 0 : 1);
    }
    ready();
    wait_verify();
    must(eventfd_read(plain, &value));
    expect_equal(value, 42);
    expect(eventfd_read(plain, &value) == -1 && errno == EAGAIN);
    expect_equal(must(fcntl(plain, F_GETFD)), FD_CLOEXEC);
    for (int i = 0; i < 4; i++) {
        must(eventfd_read(semaphore, &value));
        expect_equal(value, 1);
    }
    expect_equal(poll(&(struct pollfd){semaphore, POLLIN, 0}, 1, 0), 0);
    expect(eventfd_write(large, 1) == -1 && errno == EAGAIN);
    must(eventfd_read(large, &value));
    expect_equal(value, 0xfffffffffffffffeULL);
    must(eventfd_write(shared, 12));
    reap_success(pid);
    ok();
}
