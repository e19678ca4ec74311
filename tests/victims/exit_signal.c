// Children made by clone with no exit signal or another than SIGCHLD keep it.
#include "victim.h"

static atomic_int *end;
static volatile sig_atomic_t usr1_seen, child_seen;
static void on_usr1(int number) { (void)number; usr1_seen++; }
static void on_child(int number) { (void)number; child_seen++; }

static pid_t make(int exit_signal)
{
    pid_t pid = must(syscall(SYS_clone, (long)exit_signal, 0, 0, 0, 0));
    if (pid == 0) {
        while (!atomic_load(end))
            nap_ms(2);
        _exit(5);
    }
    return pid;
}

int main(void)
{
    must(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_usr1}, NULL));
    must(sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child}, NULL));
    end = shared_memory(4096);
    pid_t silent = make(0), signalling = make(SIGUSR1), usual = make(SIGCHLD);
    ready();
    wait_verify();
    expect_equal(usr1_seen + child_seen, 0);
    atomic_store(end, 1);
    int status;
    while (waitpid(silent, &status, __WCLONE) == -1)
        expect(errno == EINTR);
    expect_equal(status, 5 << 8);
    while (waitpid(signalling, &status, __WALL) == -1)
        expect(errno == EINTR);
    expect_equal(status, 5 << 8);
    while (waitpid(usual, &status, 0) == -1)
        expect(errno == EINTR);
    expect_equal(usr1_seen, 1);
    expect_equal(child_seen, 1);
    ok();
}
