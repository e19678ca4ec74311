// signalfd: its mask, flags, and signals that wait and are then read through it with their values.
#include "victim.h"
#include <sys/signalfd.h>

int main(void)
{
    sigset_t set, half;
    struct signalfd_siginfo info[8];
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigemptyset(&half);
    sigaddset(&half, SIGRTMIN + 4);
    sigaddset(&set, SIGRTMIN + 4);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = must(signalfd(-1, &half, SFD_NONBLOCK | SFD_CLOEXEC)), other = must(signalfd(-1, &set, SFD_NONBLOCK));
    must(kill(getpid(), SIGUSR1));
    for (int i = 0; i < 3; i++)
        must(sigqueue(getpid(), SIGRTMIN + 4, (union sigval){.sival_int = 70 + i}));
    ready();
    wait_verify();
    expect_equal(must(read(fd, info, sizeof info)), 3 * sizeof *info);
    for (int i = 0; i < 3; i++) {
        expect_equal(info[i].ssi_signo, SIGRTMIN + 4);
        expect_equal(info[i].ssi_int, 70 + i);
        expect_equal(info[i].ssi_pid, getpid());
        expect_equal(info[i].ssi_code, SI_QUEUE);
    }
    expect(read(fd, info, sizeof info) == -1 && errno == EAGAIN);
    expect_equal(must(read(other, info, sizeof info)), sizeof *info);
    expect_equal(info[0].ssi_signo, SIGUSR1);
    expect_equal(must(fcntl(fd, F_GETFD)), FD_CLOEXEC);
    ok();
}
