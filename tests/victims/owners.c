// Who is told of input by signal: F_SETOWN to a process, a thread, a group; F_SETSIG; with whose rights.
#include "victim.h"

static atomic_int tid;
static atomic_bool go;

static void *thread(void *unused)
{
    atomic_store(&tid, gettid());
    while (!atomic_load(&go))
        nap_through_signals_ms(2);
    return unused;
}

static struct f_owner_ex owner(int fd)
{
    struct f_owner_ex is;
    must(fcntl(fd, F_GETOWN_EX, &is));
    return is;
}

static void set_owner(int fd, int type, int id)
{
    struct f_owner_ex wanted = {type, id};
    must(fcntl(fd, F_SETOWN_EX, &wanted));
}

static void uids(int fd, uid_t *two)
{
    must(fcntl(fd, 17 /* F_GETOWNER_UIDS */, two));
}

static volatile sig_atomic_t told_fd, told_signal;
static void told(int signal, siginfo_t *info, void *unused)
{
    (void)unused;
    told_signal = signal;
    told_fd = info->si_fd;
}

int main(void)
{
    pthread_t other;
    int pipes[4][2];
    for (int i = 0; i < 4; i++)
        must(pipe(pipes[i]));
    must_zero(pthread_create(&other, NULL, thread, NULL));
    while (atomic_load(&tid) == 0)
        nap_ms(1);
    struct sigaction action = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
    must(sigaction(SIGRTMIN + 3, &action, NULL));
    set_owner(pipes[0][0], F_OWNER_PID, getpid());
    must(fcntl(pipes[0][0], F_SETSIG, SIGRTMIN + 3));
    must(fcntl(pipes[0][0], F_SETFL, O_ASYNC | O_NONBLOCK));
    set_owner(pipes[1][0], F_OWNER_TID, atomic_load(&tid));
    set_owner(pipes[2][0], F_OWNER_PGRP, getpgrp());
    // With the rights of another user.
    must(syscall(SYS_setresuid, -1, 1234, 0));
    set_owner(pipes[3][0], F_OWNER_PID, getpid());
    must(syscall(SYS_setresuid, 0, 0, 0));
    uid_t before[2], after[2];
    uids(pipes[3][0], before);
    expect_equal(before[1], 1234);
    ready();
    wait_verify_through_signals();
    expect(owner(pipes[0][0]).type == F_OWNER_PID && owner(pipes[0][0]).pid == getpid());
    expect(owner(pipes[1][0]).type == F_OWNER_TID && owner(pipes[1][0]).pid == atomic_load(&tid));
    expect(owner(pipes[2][0]).type == F_OWNER_PGRP && owner(pipes[2][0]).pid == getpgrp());
    uids(pipes[3][0], after);
    expect(memcmp(before, after, sizeof before) == 0);
    uids(pipes[0][0], after);
    expect(after[0] == 0 && after[1] == 0);
    expect_equal(fcntl(pipes[0][0], F_GETSIG), SIGRTMIN + 3);
    expect_equal(told_signal, 0);
    must(write(pipes[0][1], "x", 1));
    for (int i = 0; i < 1000 && told_signal == 0; i++)
        nap_through_signals_ms(2);
    expect_equal(told_signal, SIGRTMIN + 3);
    expect_equal(told_fd, pipes[0][0]);
    atomic_store(&go, true);
    must_zero(pthread_join(other, NULL));
    ok();
}
