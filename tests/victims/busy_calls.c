// checkpoint: --save-files
// restart: --changed-files rewind
// snapshot: no it computes all the time
// System calls that wait, a thread for each kind, over and over: those with a limit end when it is over and not before, the others when a
// partner has done what they wait for. None ends with EINTR, also of those that the kernel does not start again by itself.
#include "beats.h"
#include <linux/futex.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/un.h>

enum { LIMIT_MS = 6 };
static const struct timespec limit = {0, LIMIT_MS * 1000000L};

// --- with a limit: what they give when it is over

static long by_nanosleep(void) { return nanosleep(&limit, NULL); }
static long by_clock_nanosleep(void) { return clock_nanosleep(CLOCK_BOOTTIME, 0, &limit, NULL); }

static struct timespec end_of(clockid_t clock)
{
    int64_t end = now_ns(clock) + LIMIT_MS * 1000000LL;
    return (struct timespec){end / 1000000000, end % 1000000000};
}
static long by_absolute(void)
{
    struct timespec end = end_of(CLOCK_MONOTONIC);
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}
static long by_poll(void) { return poll(NULL, 0, LIMIT_MS); }
static long by_ppoll(void) { return ppoll(NULL, 0, &limit, NULL); }
static long by_select(void) { return select(0, NULL, NULL, NULL, &(struct timeval){0, LIMIT_MS * 1000}); }
static long by_pselect(void) { return pselect(0, NULL, NULL, NULL, &limit, NULL); }

static int nothing_to_poll(void)
{
    static _Thread_local int epoll;
    return epoll != 0 ? epoll : (epoll = must(epoll_create1(EPOLL_CLOEXEC)));
}
static long by_epoll(void) { return epoll_wait(nothing_to_poll(), &(struct epoll_event){0}, 1, LIMIT_MS); }
static long by_epoll_pwait2(void) { return syscall(SYS_epoll_pwait2, nothing_to_poll(), &(struct epoll_event){0}, 1, &limit, NULL, 8L); }
static long by_futex(void)
{
    static int word;
    return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0);
}
static long by_futex_absolute(void)
{
    static int word;
    struct timespec end = end_of(CLOCK_MONOTONIC);
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &end, NULL, -1);
}
static long by_sigtimedwait(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return sigtimedwait(&set, NULL, &limit);
}
static long by_recv(void)
{
    static int pair[2];
    char byte;
    if (pair[0] == 0) {
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        must(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, LIMIT_MS * 1000}, sizeof(struct timeval)));
    }
    return recv(pair[0], &byte, 1, 0);
}
static int semaphore = -1;
static long by_semtimedop(void) { return semtimedop(semaphore, &(struct sembuf){0, -1, 0}, 1, &limit); }
static long by_mq_timedreceive(void)
{
    static mqd_t queue;
    char text[64];
    if (queue == 0) {
        queue = must(mq_open("/busy", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &(struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = sizeof text}));
        must(mq_unlink("/busy"));
    }
    struct timespec end = end_of(CLOCK_REALTIME);
    return mq_timedreceive(queue, text, sizeof text, NULL, &end);
}

static const struct timed { const char *name; long (*wait)(void); long gives; int error; } timed[] = {
    {"nanosleep", by_nanosleep, 0, 0},
    {"clock_nanosleep", by_clock_nanosleep, 0, 0},
    {"clock_nanosleep to a time", by_absolute, 0, 0},
    {"poll", by_poll, 0, 0},
    {"ppoll", by_ppoll, 0, 0},
    {"select", by_select, 0, 0},
    {"pselect6", by_pselect, 0, 0},
    {"epoll_wait", by_epoll, 0, 0},
    {"epoll_pwait2", by_epoll_pwait2, 0, 0},
    {"futex", by_futex, -1, ETIMEDOUT},
    {"futex to a time", by_futex_absolute, -1, ETIMEDOUT},
    {"rt_sigtimedwait", by_sigtimedwait, -1, EAGAIN},
    {"recvfrom with SO_RCVTIMEO", by_recv, -1, EAGAIN},
    {"semtimedop", by_semtimedop, -1, EAGAIN},
    {"mq_timedreceive", by_mq_timedreceive, -1, ETIMEDOUT},
};

// --- without one: the partner acts a little later

static int read_pipe[2], accept_socket, message_queue, event_descriptor, locked_file[2], range_file, epoll_pipe[2];
static struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "busy"};

static long by_read(void) { char byte; return read(read_pipe[0], &byte, 1); }
static void for_read(void) { must(write(read_pipe[1], "x", 1)); }
static long by_accept(void) { int client = accept(accept_socket, NULL, NULL); return client < 0 ? -1 : (close(client), 1); }
static void for_accept(void)
{
    int client = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    close(client);
}
static long by_msgrcv(void) { struct { long type; char text[8]; } message; return msgrcv(message_queue, &message, 8, 0, 0); }
static void for_msgrcv(void) { must(msgsnd(message_queue, &(struct { long type; char text[8]; }){1, "x"}, 1, 0)); }
static long by_semop(void) { return semop(semaphore, &(struct sembuf){1, -1, 0}, 1) + 1; }
static void for_semop(void) { must(semop(semaphore, &(struct sembuf){1, 1, 0}, 1)); }
static long by_eventfd(void) { eventfd_t value; return eventfd_read(event_descriptor, &value) == 0; }
static void for_eventfd(void) { must(eventfd_write(event_descriptor, 1)); }
static long by_epoll_for_ever(void)
{
    static int epoll;
    char byte;
    if (epoll == 0) {
        epoll = must(epoll_create1(EPOLL_CLOEXEC));
        must(epoll_ctl(epoll, EPOLL_CTL_ADD, epoll_pipe[0], &(struct epoll_event){.events = EPOLLIN}));
    }
    struct epoll_event event;
    int ready = epoll_wait(epoll, &event, 1, -1);
    return ready == 1 ? read(epoll_pipe[0], &byte, 1) : ready;
}
static void for_epoll_for_ever(void) { must(write(epoll_pipe[1], "x", 1)); }
static int waited_word;
static long by_futex_for_ever(void)
{
    while (__atomic_load_n(&waited_word, __ATOMIC_SEQ_CST) == 0)
        if (syscall(SYS_futex, &waited_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) != 0 && errno != EAGAIN)
            return -1;
    __atomic_store_n(&waited_word, 0, __ATOMIC_SEQ_CST);
    return 1;
}
static void for_futex_for_ever(void)
{
    __atomic_store_n(&waited_word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &waited_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
static long by_wait4(void)
{
    pid_t child = must(fork());
    if (child == 0) {
        nap_ms(LIMIT_MS);
        _exit(9);
    }
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 9 ? 1 : -1;
}
static void for_wait4(void) {}
static long by_flock(void) { return flock(locked_file[0], LOCK_EX) + 1; }
static void for_flock(void) { must(flock(locked_file[1], LOCK_UN)); }
static long by_range_lock(void) { return fcntl(range_file, F_OFD_SETLKW, &(struct flock){.l_type = F_WRLCK, .l_len = 1}) + 1; }
static int other_range_file;
static void for_range_lock(void) { must(fcntl(other_range_file, F_OFD_SETLK, &(struct flock){.l_type = F_UNLCK, .l_len = 1})); }
// A child that was made meanwhile has our end for a while, too: who opens the other may be there before us.
static atomic_bool opened;
static void before_open(void) { atomic_store(&opened, false); }
static long by_open(void) { int file = open("busy.fifo", O_RDONLY | O_CLOEXEC); return file < 0 ? -1 : (atomic_store(&opened, true), close(file), 1); }
static void for_open(void)
{
    while (!atomic_load(&opened)) {
        int file = open("busy.fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        expect(file >= 0 || errno == ENXIO);
        if (file >= 0)
            close(file);
        nap_ms(1);
    }
}
static void before_flock(void) { flock(locked_file[0], LOCK_UN), must(flock(locked_file[1], LOCK_EX)); }
static void before_range_lock(void)
{
    must(fcntl(range_file, F_OFD_SETLK, &(struct flock){.l_type = F_UNLCK, .l_len = 1}));
    must(fcntl(other_range_file, F_OFD_SETLK, &(struct flock){.l_type = F_WRLCK, .l_len = 1}));
}

static const struct woken { const char *name; long (*wait)(void); void (*act)(void); void (*before)(void); } woken[] = {
    {"read of a pipe", by_read, for_read, NULL},
    {"accept", by_accept, for_accept, NULL},
    {"msgrcv", by_msgrcv, for_msgrcv, NULL},
    {"semop", by_semop, for_semop, NULL},
    {"read of an eventfd", by_eventfd, for_eventfd, NULL},
    {"epoll_wait without a limit", by_epoll_for_ever, for_epoll_for_ever, NULL},
    {"futex without a limit", by_futex_for_ever, for_futex_for_ever, NULL},
    {"wait4", by_wait4, for_wait4, NULL},
    {"flock", by_flock, for_flock, before_flock},
    {"fcntl(F_OFD_SETLKW)", by_range_lock, for_range_lock, before_range_lock},
    {"open of a FIFO", by_open, for_open, before_open},
};

enum { TIMED = sizeof timed / sizeof *timed, WOKEN = sizeof woken / sizeof *woken };
// Its waiter says when it goes to wait, its partner when it has acted.
static struct turn { atomic_ulong waits, acted; } turns[WOKEN];

static void *run_timed(void *argument)
{
    long number = (long)argument;
    const struct timed *one = &timed[number];
    for (;;) {
        int64_t begin = now_ns(CLOCK_MONOTONIC);
        errno = 0;
        long given = one->wait();
        int error = given == -1 ? errno : 0;
        int64_t took = now_ns(CLOCK_MONOTONIC) - begin;
        if (given != one->gives || error != one->error)
            fail("%s gave %ld, errno %d (%s)", one->name, given, error, strerror(error));
        // Two clocks, the coarser of which counts in milliseconds for poll and epoll.
        if (took < (LIMIT_MS - 1) * 1000000L)
            fail("%s ended after %ld us", one->name, (long)(took / 1000));
        beat((int)number);
    }
    return NULL;
}

static void *run_woken(void *argument)
{
    long number = (long)argument;
    const struct woken *one = &woken[number];
    for (unsigned long turn = 1;; turn++) {
        if (one->before != NULL)
            one->before();
        atomic_store(&turns[number].waits, turn);
        errno = 0;
        long given = one->wait();
        if (given != 1)
            fail("%s gave %ld, errno %d (%s)", one->name, given, errno, strerror(errno));
        while (atomic_load(&turns[number].acted) < turn)
            nap_ms(1);
        beat((int)(TIMED + number));
    }
    return NULL;
}

// One partner acts for all.
static void *act(void *unused)
{
    for (;;) {
        nap_ms(2);
        for (int i = 0; i < WOKEN; i++) {
            unsigned long waits = atomic_load(&turns[i].waits);
            if (atomic_load(&turns[i].acted) == waits)
                continue;
            woken[i].act();
            atomic_store(&turns[i].acted, waits);
        }
    }
    return unused;
}

static void prepare(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    semaphore = must(semget(IPC_PRIVATE, 2, 0600));
    message_queue = must(msgget(IPC_PRIVATE, 0600));
    must(pipe2(read_pipe, O_CLOEXEC));
    must(pipe2(epoll_pipe, O_CLOEXEC));
    event_descriptor = must(eventfd(0, EFD_CLOEXEC));
    accept_socket = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    unlink(address.sun_path);
    must(bind(accept_socket, (struct sockaddr *)&address, sizeof address));
    must(listen(accept_socket, 8));
    for (int i = 0; i < 2; i++)
        locked_file[i] = must(open("locked", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    range_file = must(open("ranged", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    other_range_file = must(open("ranged", O_RDWR | O_CLOEXEC));
    unlink("busy.fifo");
    must(mkfifo("busy.fifo", 0600));
}

int main(void)
{
    pthread_t thread;
    make_beats(TIMED + WOKEN);
    prepare();
    for (long i = 0; i < TIMED; i++)
        must_zero(pthread_create(&thread, NULL, run_timed, (void *)i));
    for (long i = 0; i < WOKEN; i++)
        must_zero(pthread_create(&thread, NULL, run_woken, (void *)i));
    must_zero(pthread_create(&thread, NULL, act, NULL));
    await_beats();
    ready();
    wait_verify();
    await_beats();
    say("result", "ok");
    // Who waits there fails, and is not heard any more.
    must(semctl(semaphore, 0, IPC_RMID));
    must(msgctl(message_queue, IPC_RMID, NULL));
    _exit(0);
}
