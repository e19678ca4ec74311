// File leases: the holder is told by its signal when somebody else opens the file.
#include "victim.h"

static volatile sig_atomic_t told_fd[2], told_count;
static void told(int signal, siginfo_t *info, void *unused)
{
    (void)signal, (void)unused;
    if (told_count < 2)
        told_fd[told_count] = info->si_fd;
    told_count++;
}

static int opened_by_another(const char *path, int flags)
{
    pid_t pid = must(fork());
    if (pid == 0) {
        int fd = open(path, flags | O_NONBLOCK);
        _exit(fd >= 0 ? 0 : errno);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        expect_equal(errno, EINTR);
    return WEXITSTATUS(status);
}

int main(void)
{
    close(must(open("read", O_CREAT | O_WRONLY, 0600)));
    close(must(open("write", O_CREAT | O_WRONLY, 0600)));
    int read = must(open("read", O_RDONLY)), write = must(open("write", O_RDWR));
    struct sigaction action = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
    must(sigaction(SIGRTMIN + 1, &action, NULL));
    if (fcntl(read, F_SETLEASE, F_RDLCK) != 0)
        skip("no leases on this file system");
    must(fcntl(write, F_SETLEASE, F_WRLCK));
    must(fcntl(read, F_SETSIG, SIGRTMIN + 1));
    must(fcntl(write, F_SETSIG, SIGRTMIN + 1));
    ready();
    wait_verify_through_signals();
    expect_equal(fcntl(read, F_GETLEASE), F_RDLCK);
    expect_equal(fcntl(write, F_GETLEASE), F_WRLCK);
    expect_equal(told_count, 0);
    expect_equal(opened_by_another("read", O_RDONLY), 0);
    expect_equal(told_count, 0);
    expect_equal(opened_by_another("read", O_WRONLY), EWOULDBLOCK);
    expect_equal(told_count, 1);
    expect_equal(told_fd[0], read);
    expect_equal(opened_by_another("write", O_RDONLY), EWOULDBLOCK);
    expect_equal(told_count, 2);
    expect_equal(told_fd[1], write);
    ok();
}
