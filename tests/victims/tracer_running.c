// snapshot: no the sleep of one of its children ends at some time
// A tracer whose tracees run: in calls it stops at, in calls it does not stop at, computing, and attached in the old way with two threads.
// After the checkpoint and after the restart it sees no stop that it did not cause, and they go on as they were.
#include "victim.h"
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/user.h>

enum { READS_STOPPING, READS, COMPUTES_STOPPING, WAITS_STOPPING, SLEEPS_STOPPING, SUSPENDS, OLD_WAY, KINDS };

struct board {
    atomic_int phase[KINDS];
    atomic_long beats[2];
    atomic_int go;
};
static struct board *board;
static int pipes[KINDS][2];
static int which;

static void phase(int value)
{
    atomic_store(&board->phase[which], value);
}

static void on_signal(int number)
{
    (void)number;
}

static void reads(void)
{
    char byte = 0;
    phase(1);
    expect_equal(must(read(pipes[which][0], &byte, 1)), 1);
    expect_equal(byte, 'x');
    phase(2);
}

static void computes(void)
{
    volatile long sum = 0;
    phase(1);
    while (!atomic_load(&board->go))
        sum += sum * 3 + 1;
    expect_equal(syscall(SYS_close, 7777), -1);
    phase(2);
}

static void waits(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = must(epoll_create1(0));
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[which][0], &event));
    phase(1);
    expect_equal(must(epoll_wait(epoll, &event, 1, -1)), 1);
    phase(2);
}

static void sleeps(void)
{
    phase(1);
    int64_t start = now_ns(CLOCK_MONOTONIC);
    nap_ms(4000);
    expect(now_ns(CLOCK_MONOTONIC) - start >= 4000 * 1000000LL);
    phase(2);
}

static void suspends(void)
{
    sigset_t mask, none;
    struct sigaction action = {.sa_handler = on_signal};
    must(sigaction(SIGUSR1, &action, NULL));
    sigemptyset(&none);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGUSR2);
    must(sigprocmask(SIG_SETMASK, &mask, NULL));
    phase(1);
    expect(sigsuspend(&none) == -1 && errno == EINTR);
    must(sigprocmask(SIG_SETMASK, NULL, &none));
    expect(sigismember(&none, SIGUSR1) && sigismember(&none, SIGUSR2) && !sigismember(&none, SIGTERM));
    phase(2);
}

static void *beats(void *counter)
{
    while (!atomic_load(&board->go)) {
        atomic_fetch_add((atomic_long *)counter, 1);
        if (counter == &board->beats[1])
            nap_ms(1);
    }
    return NULL;
}

static void old_way(void)
{
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, beats, &board->beats[1]));
    phase(1);
    beats(&board->beats[0]);
    must_zero(pthread_join(thread, NULL));
    phase(2);
}

static int await_stop(pid_t child)
{
    int status;
    expect_equal(must(waitpid(child, &status, __WALL)), child);
    if (!WIFSTOPPED(status))
        fail("%d is not stopped: 0x%x", child, status);
    return status >> 8;
}

static char state_of(pid_t pid)
{
    char path[64], *text;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    text = read_all(path, NULL);
    char state = strrchr(text, ')')[2];
    free(text);
    return state;
}

static struct __ptrace_syscall_info call_of(pid_t child)
{
    struct __ptrace_syscall_info call;
    must(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call));
    return call;
}

static void expect_exit(int number, pid_t child)
{
    int status;
    expect_equal(must(waitpid(child, &status, __WALL)), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("child %d ended with status 0x%x", number, status);
    expect_equal(atomic_load(&board->phase[number]), 2);
}

// Until the entry of the call that it is to wait in, and into it.
static void into(pid_t child, long wanted)
{
    for (int i = 0; i < 300; i++) {
        must(ptrace(PTRACE_SYSCALL, child, 0, 0));
        expect_equal(await_stop(child), SIGTRAP | 0x80);
        struct __ptrace_syscall_info call = call_of(child);
        if (call.op == PTRACE_SYSCALL_INFO_ENTRY && (long)call.entry.nr == wanted) {
            must(ptrace(PTRACE_SYSCALL, child, 0, 0));
            return;
        }
    }
    fail("%d does not come to call %ld", child, wanted);
}

static void expect_exit_of_call(pid_t child, long result)
{
    expect_equal(await_stop(child), SIGTRAP | 0x80);
    struct __ptrace_syscall_info call = call_of(child);
    expect_equal(call.op, PTRACE_SYSCALL_INFO_EXIT);
    expect_equal(call.exit.rval, result);
}

int main(void)
{
    static void (*const bodies[KINDS])(void) = {reads, reads, computes, waits, sleeps, suspends, old_way};
    pid_t child[KINDS], second = 0;
    int status;
    board = shared_memory(sizeof *board);
    for (int i = 0; i < KINDS; i++) {
        must(pipe2(pipes[i], O_CLOEXEC));
        if ((child[i] = must(fork())) == 0) {
            which = i;
            if (i == OLD_WAY)
                must(ptrace(PTRACE_TRACEME, 0, 0, 0));
            must(raise(SIGSTOP));
            bodies[i]();
            _exit(0);
        }
        if (i == OLD_WAY) {
            expect_equal(await_stop(child[i]), SIGSTOP);
            must(ptrace(PTRACE_SETOPTIONS, child[i], 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL));
            must(ptrace(PTRACE_CONT, child[i], 0, 0));
            expect_equal(await_stop(child[i]), SIGTRAP | PTRACE_EVENT_CLONE << 8);
            unsigned long message;
            must(ptrace(PTRACE_GETEVENTMSG, child[i], 0, &message));
            second = message;
            expect_equal(await_stop(second), SIGSTOP);
            must(ptrace(PTRACE_CONT, second, 0, 0));
            must(ptrace(PTRACE_CONT, child[i], 0, 0));
            continue;
        }
        expect_equal(must(waitpid(child[i], &status, WUNTRACED)), child[i]);
        must(ptrace(PTRACE_SEIZE, child[i], 0, PTRACE_O_TRACESYSGOOD));
        expect_equal(await_stop(child[i]), SIGSTOP | PTRACE_EVENT_STOP << 8);
        must(kill(child[i], SIGCONT));
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        // The end of the group stop, and the signal.
        expect_equal(await_stop(child[i]), SIGTRAP | PTRACE_EVENT_STOP << 8);
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        expect_equal(await_stop(child[i]), SIGCONT);
        switch (i) {
        case READS_STOPPING: into(child[i], SYS_read); break;
        case WAITS_STOPPING: into(child[i], SYS_epoll_wait); break;
        case SLEEPS_STOPPING: into(child[i], SYS_clock_nanosleep); break;
        case COMPUTES_STOPPING: must(ptrace(PTRACE_SYSCALL, child[i], 0, 0)); break;
        default: must(ptrace(PTRACE_CONT, child[i], 0, 0));
        }
    }
    for (int i = 0; i < KINDS; i++) {
        while (atomic_load(&board->phase[i]) == 0)
            nap_ms(1);
        for (int tries = 0; i != COMPUTES_STOPPING && i != OLD_WAY && state_of(child[i]) != 'S'; tries++) {
            expect(tries < 2000);
            nap_ms(1);
        }
    }
    ready();
    wait_verify();

    // Nobody has stopped, and they do run.
    long before[2] = {atomic_load(&board->beats[0]), atomic_load(&board->beats[1])};
    for (int i = 0; i < KINDS; i++) {
        if (i == SLEEPS_STOPPING)
            continue;
        expect_equal(must(waitpid(child[i], &status, __WALL | WNOHANG)), 0);
        expect(state_of(child[i]) != 't');
        expect_equal(atomic_load(&board->phase[i]), 1);
    }
    expect_equal(must(waitpid(second, &status, __WALL | WNOHANG)), 0);
    for (int i = 0; i < 2; i++)
        for (int tries = 0; atomic_load(&board->beats[i]) < before[i] + 3; tries++) {
            expect(tries < 3000);
            nap_ms(1);
        }

    must(write(pipes[READS_STOPPING][1], "x", 1));
    expect_exit_of_call(child[READS_STOPPING], 1);
    must(ptrace(PTRACE_CONT, child[READS_STOPPING], 0, 0));
    expect_exit(READS_STOPPING, child[READS_STOPPING]);

    must(write(pipes[READS][1], "x", 1));
    expect_exit(READS, child[READS]);

    must(write(pipes[WAITS_STOPPING][1], "x", 1));
    expect_exit_of_call(child[WAITS_STOPPING], 1);
    must(ptrace(PTRACE_CONT, child[WAITS_STOPPING], 0, 0));
    expect_exit(WAITS_STOPPING, child[WAITS_STOPPING]);

    expect_exit_of_call(child[SLEEPS_STOPPING], 0);
    must(ptrace(PTRACE_CONT, child[SLEEPS_STOPPING], 0, 0));
    expect_exit(SLEEPS_STOPPING, child[SLEEPS_STOPPING]);

    must(kill(child[SUSPENDS], SIGUSR1));
    expect_equal(await_stop(child[SUSPENDS]), SIGUSR1);
    must(ptrace(PTRACE_CONT, child[SUSPENDS], 0, SIGUSR1));
    expect_exit(SUSPENDS, child[SUSPENDS]);

    atomic_store(&board->go, 1);
    expect_equal(await_stop(child[COMPUTES_STOPPING]), SIGTRAP | 0x80);
    struct __ptrace_syscall_info call = call_of(child[COMPUTES_STOPPING]);
    expect_equal(call.op, PTRACE_SYSCALL_INFO_ENTRY);
    expect_equal(call.entry.nr, SYS_close);
    must(ptrace(PTRACE_CONT, child[COMPUTES_STOPPING], 0, 0));
    expect_exit(COMPUTES_STOPPING, child[COMPUTES_STOPPING]);

    expect_equal(must(waitpid(second, &status, __WALL)), second);
    expect(WIFEXITED(status));
    expect_exit(OLD_WAY, child[OLD_WAY]);
    ok();
}
