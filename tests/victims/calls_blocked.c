// Waits without a time limit, one thread for each kind: none ends before what it waits for happens, or with EINTR.
#include "victim.h"
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/un.h>

static atomic_int started;
static atomic_bool go;

static int pipes[4][2], full_pipe[2], pairs[3][2], full_pair[2], listener, epoll_fd, event_fd, signal_fd, poll_pipe[2],
    epoll_pipe[2], select_pipe[2];
static int futex_word;
static pid_t child, child_waitid;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "listening"};
static char bytes[65536];

static long by_read(void) { return read(pipes[0][0], bytes, 8); }
static void end_read(void) { must(write(pipes[0][1], "x", 1)); }
static long by_write(void) { char page[4096] = {0}; return write(full_pipe[1], page, sizeof page) == sizeof page; }
static void end_write(void) { must(read(full_pipe[0], bytes, 65536)); }
static long by_recv(void) { char byte; return recv(pairs[0][0], &byte, 1, 0); }
static void end_recv(void) { must(write(pairs[0][1], "x", 1)); }
static long by_recvmsg(void)
{
    char text[8];
    struct iovec part = {text, 8};
    return recvmsg(pairs[1][0], &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1}, 0);
}
static void end_recvmsg(void) { must(send(pairs[1][1], "x", 1, 0)); }
static long by_send(void) { char text[1000] = {0}; return send(full_pair[0], text, sizeof text, 0) == sizeof text; }
static void end_send(void)
{
    char text[1000];
    while (recv(full_pair[1], text, sizeof text, MSG_DONTWAIT) > 0)
        ;
}
static long by_accept(void) { int fd = accept(listener, NULL, NULL); return fd < 0 ? -1 : (close(fd), 1); }
static void end_accept(void)
{
    int fd = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must(connect(fd, (struct sockaddr *)&address, sizeof address));
}
static long by_wait4(void) { return waitpid(child, NULL, 0) == child ? 1 : -1; }
static void end_wait4(void) { must(kill(child, SIGKILL)); }
static long by_waitid(void) { siginfo_t info; return waitid(P_PID, child_waitid, &info, WEXITED) == 0 ? 1 : -1; }
static void end_waitid(void) { must(kill(child_waitid, SIGKILL)); }
static long by_poll(void) { return poll(&(struct pollfd){poll_pipe[0], POLLIN, 0}, 1, -1); }
static void end_poll(void) { must(write(poll_pipe[1], "x", 1)); }
static long by_select(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(select_pipe[0], &set);
    return select(select_pipe[0] + 1, &set, NULL, NULL, NULL);
}
static void end_select(void) { must(write(select_pipe[1], "x", 1)); }
static long by_epoll_wait(void) { struct epoll_event event; return epoll_wait(epoll_fd, &event, 1, -1); }
static void end_epoll_wait(void) { must(write(epoll_pipe[1], "x", 1)); }
static long by_eventfd(void) { eventfd_t value; return eventfd_read(event_fd, &value) == 0 && value == 5 ? 1 : -1; }
static void end_eventfd(void) { must(eventfd_write(event_fd, 5)); }
static long by_signalfd(void)
{
    struct signalfd_siginfo info;
    return read(signal_fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1 ? 1 : -1;
}
static void end_signalfd(void) { must(kill(getpid(), SIGUSR1)); }
static long by_sigwaitinfo(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return sigwaitinfo(&set, NULL) == SIGUSR2 ? 1 : -1;
}
static void end_sigwaitinfo(void) { must(kill(getpid(), SIGUSR2)); }
static long by_futex(void) { return syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == 0 ? 1 : -1; }
static void end_futex(void)
{
    for (int i = 0; syscall(SYS_futex, &futex_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0; i++)
        nap_ms(2);
}
static long by_condition(void)
{
    must_zero(pthread_mutex_lock(&mutex));
    while (!atomic_load(&go))
        must_zero(pthread_cond_wait(&condition, &mutex));
    must_zero(pthread_mutex_unlock(&mutex));
    return 1;
}
static void end_condition(void)
{
    must_zero(pthread_mutex_lock(&mutex));
    must_zero(pthread_cond_broadcast(&condition));
    must_zero(pthread_mutex_unlock(&mutex));
}
static long by_fifo(void) { int fd = open("fifo", O_RDONLY); return fd < 0 ? -1 : (close(fd), 1); }
static void end_fifo(void) { must(open("fifo", O_WRONLY)); }
static const struct kind { const char *name; long (*wait)(void); void (*end)(void); } kinds[] = {
    {"read of a pipe", by_read, end_read},
    {"write to a full pipe", by_write, end_write},
    {"recvfrom", by_recv, end_recv},
    {"recvmsg", by_recvmsg, end_recvmsg},
    {"sendto a full socket", by_send, end_send},
    {"accept", by_accept, end_accept},
    {"wait4", by_wait4, end_wait4},
    {"waitid", by_waitid, end_waitid},
    {"poll", by_poll, end_poll},
    {"select", by_select, end_select},
    {"epoll_wait", by_epoll_wait, end_epoll_wait},
    {"read of an eventfd", by_eventfd, end_eventfd},
    {"read of a signalfd", by_signalfd, end_signalfd},
    {"rt_sigtimedwait", by_sigwaitinfo, end_sigwaitinfo},
    {"futex", by_futex, end_futex},
    {"pthread_cond_wait", by_condition, end_condition},
    {"open of a FIFO", by_fifo, end_fifo},
};
enum { KINDS = sizeof kinds / sizeof *kinds };
static atomic_bool ended[KINDS];

static void *run(void *argument)
{
    long number = (long)argument;
    atomic_fetch_add(&started, 1);
    errno = 0;
    long result = kinds[number].wait();
    if (result != 1)
        fail("%s gave %ld, errno %d (%s)", kinds[number].name, result, errno, strerror(errno));
    if (!atomic_load(&go))
        fail("%s ended before it should", kinds[number].name);
    atomic_store(&ended[number], true);
    return NULL;
}

static void set_up(void)
{
    for (int i = 0; i < 4; i++)
        must(pipe(pipes[i]));
    must(pipe(poll_pipe));
    must(pipe(epoll_pipe));
    must(pipe(select_pipe));
    must(pipe(full_pipe));
    must(fcntl(full_pipe[1], F_SETPIPE_SZ, 4096));
    must(write(full_pipe[1], bytes, 4096));
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[0]));
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs[1]));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, full_pair));
    while (send(full_pair[0], bytes, 1000, MSG_DONTWAIT) > 0)
        ;
    listener = must(socket(AF_UNIX, SOCK_STREAM, 0));
    unlink(address.sun_path);
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(listen(listener, 4));
    epoll_fd = must(epoll_create1(0));
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, epoll_pipe[0], &(struct epoll_event){.events = EPOLLIN}));
    event_fd = must(eventfd(0, 0));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    signal_fd = must(signalfd(-1, &set, 0));
    sigaddset(&set, SIGUSR2);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    must(mkfifo("fifo", 0666));
    for (int i = 0; i < 2; i++) {
        pid_t pid = must(fork());
        if (pid == 0)
            for (;;)
                nap_ms(50);
        *(i ? &child_waitid : &child) = pid;
    }
}

int main(void)
{
    pthread_t threads[KINDS];
    set_up();
    for (long i = 0; i < KINDS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    while (atomic_load(&started) < KINDS)
        nap_ms(1);
    nap_ms(30);
    ready();
    wait_verify();
    nap_ms(20);
    for (int i = 0; i < KINDS; i++)
        if (atomic_load(&ended[i]))
            fail("%s ended before it should", kinds[i].name);
    atomic_store(&go, true);
    struct timespec limit;
    must(clock_gettime(CLOCK_REALTIME, &limit));
    limit.tv_sec += 4;
    for (int i = 0; i < KINDS; i++) {
        kinds[i].end();
        if (pthread_timedjoin_np(threads[i], NULL, &limit) != 0)
            fail("%s does not end", kinds[i].name);
    }
    ok();
}
