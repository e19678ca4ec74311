// Handles of processes: of one's own, of children that live, have ended, and have been waited for, of a thread, of a process
// outside; duplicated, shared with a child, and watched by epoll.
#include "victim.h"
#include <sys/epoll.h>

#define PIDFD_THREAD O_EXCL

static int open_pidfd(pid_t pid, unsigned flags)
{
    return must(syscall(SYS_pidfd_open, pid, flags));
}

static pid_t child(void)
{
    pid_t pid = must(fork());
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static short events(int fd)
{
    struct pollfd one = {fd, POLLIN, 0};
    must(poll(&one, 1, 0));
    return one.revents;
}

// What fdinfo tells of whose handle it is.
static int whose(int fd)
{
    char path[64];
    sprintf(path, "/proc/self/fdinfo/%d", fd);
    char *text = read_all(path, NULL), *line = strstr(text, "\nPid:");
    expect(line != NULL);
    int pid = atoi(line + 5);
    free(text);
    return pid;
}

static ino_t inode(int fd)
{
    struct stat status;
    must(fstat(fd, &status));
    return status.st_ino;
}

static void *thread(void *go)
{
    while (!atomic_load((atomic_bool *)go))
        nap_ms(1);
    return NULL;
}

static void *tell_tid(void *argument)
{
    struct { atomic_bool go; atomic_int tid; } *shared = argument;
    atomic_store(&shared->tid, gettid());
    return thread(&shared->go);
}

int main(void)
{
    static struct { atomic_bool go; atomic_int tid; } shared;
    pthread_t other;
    int status, has_threads;
    if (syscall(SYS_pidfd_open, getpid(), 0) < 0)
        skip("no pidfd_open in this kernel");
    // The cage's init is outside the tree.
    pid_t outsider = 1;
    pid_t living = child(), zombie = child(), gone = child(), later = child();
    int own = open_pidfd(getpid(), 0), of_living = open_pidfd(living, O_NONBLOCK), of_zombie = open_pidfd(zombie, 0);
    int of_gone = open_pidfd(gone, 0), gone_again = open_pidfd(gone, 0), of_outsider = open_pidfd(outsider, 0), of_later = open_pidfd(later, 0);
    int of_living_again = must(dup(of_living)), of_living_other = open_pidfd(living, 0);
    must_zero(pthread_create(&other, NULL, tell_tid, &shared));
    while (atomic_load(&shared.tid) == 0)
        nap_ms(1);
    int of_thread = syscall(SYS_pidfd_open, atomic_load(&shared.tid), PIDFD_THREAD);
    has_threads = of_thread >= 0;
    must(kill(zombie, SIGTERM));
    must(kill(gone, SIGUSR1));
    must(waitpid(gone, &status, 0));
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    expect_equal(whose(of_gone), -1);
    short when_gone = events(of_gone), when_zombie;
    while (!(events(of_zombie) & POLLIN))
        nap_ms(1);
    when_zombie = events(of_zombie);
    bool one_inode_each = inode(own) != inode(of_living);

    int epoll = must(epoll_create1(0));
    struct epoll_event asked = {.events = EPOLLIN, .data.u32 = 7}, told;
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, of_later, &asked));
    // A child with the same descriptors, which stays.
    pid_t sharer = must(fork());
    if (sharer == 0) {
        wait_verify();
        siginfo_t information;
        expect_equal(whose(of_living), living);
        expect(fcntl(of_living, F_GETFL) & O_NONBLOCK);
        expect(waitid(P_PIDFD, of_living, &information, WEXITED) == -1 && errno == ECHILD);
        _exit(0);
    }
    ready();
    wait_verify();

    expect_equal(whose(own), getpid());
    expect_equal(whose(of_living), living);
    expect_equal(whose(of_living_again), living);
    expect_equal(syscall(SYS_kcmp, getpid(), getpid(), 0, of_living, of_living_again), 0);
    expect(syscall(SYS_kcmp, getpid(), getpid(), 0, of_living, of_living_other) != 0);
    expect_equal(whose(of_gone), -1);
    expect_equal(events(of_gone), when_gone);
    expect_equal(events(of_zombie), when_zombie);
    expect_equal(events(of_living), 0);
    expect_equal(syscall(SYS_pidfd_send_signal, of_gone, SIGTERM, NULL, 0), -1);
    expect_equal(errno, ESRCH);
    expect_equal(whose(of_outsider), outsider);
    expect_equal(syscall(SYS_pidfd_send_signal, of_outsider, 0, NULL, 0), 0);
    if (one_inode_each) {
        expect_equal(inode(of_gone), inode(gone_again));
        expect_equal(inode(of_living), inode(of_living_other));
        expect(inode(of_gone) != inode(of_living));
    }
    reap_success(sharer);
    siginfo_t information = {0};
    must(waitid(P_PIDFD, of_zombie, &information, WEXITED));
    expect_equal(information.si_pid, zombie);
    expect_equal(information.si_status, SIGTERM);
    expect_equal(waitid(P_PIDFD, of_living, &information, WEXITED), -1);
    expect_equal(errno, EAGAIN);
    must(syscall(SYS_pidfd_send_signal, of_living, SIGKILL, NULL, 0));
    expect(poll(&(struct pollfd){of_living_other, POLLIN, 0}, 1, 5000) == 1);
    must(waitid(P_PIDFD, of_living_again, &information, WEXITED));
    expect_equal(information.si_pid, living);
    if (has_threads) {
        expect_equal(whose(of_thread), atomic_load(&shared.tid));
        expect(fcntl(of_thread, F_GETFL) & PIDFD_THREAD);
        expect_equal(events(of_thread), 0);
        atomic_store(&shared.go, true);
        expect(poll(&(struct pollfd){of_thread, POLLIN, 0}, 1, 5000) == 1);
    }
    expect_equal(epoll_wait(epoll, &told, 1, 0), 0);
    must(kill(later, SIGKILL));
    expect_equal(epoll_wait(epoll, &told, 1, 5000), 1);
    expect_equal(told.data.u32, 7);
    ok();
}
