// A tracer whose tracees are confined to the few calls that they make: one sleeps (and may not ask to sleep on, restart_syscall), one reads and its
// tracer hears of the call's end, one stands at the entry of a call and one at a signal. They go on, and the filters still end who makes another call.
#include "victim.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ptrace.h>

enum { SLEEPS, READS_STOPPING, AT_ENTRY, AT_SIGNAL, KINDS };

struct board {
    atomic_int phase[KINDS], last[KINDS];
    atomic_long naps;
};
static struct board *board;
static int pipes[KINDS][2];
static int which;

#ifdef JUDGED
// As a container's: most is let through, and some calls end it. One that is skipped (-1) fails.
static void confine(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}
#else
static void confine(void)
{
    static const int allowed[] = {SYS_read, SYS_write, SYS_clock_nanosleep, SYS_exit_group, SYS_rt_sigreturn, SYS_getppid};
    struct sock_filter filter[2 + 2 * sizeof allowed / sizeof *allowed] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    int length = 1;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {length, filter};
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

#endif

static void body(void)
{
    char byte = 0;
    atomic_store(&board->phase[which], 1);
    if (which == SLEEPS)
        while (!atomic_load(&board->last[which])) {
            struct timespec nap = {0, 300 * 1000000};
            expect_equal(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL), 0);
            atomic_fetch_add(&board->naps, 1);
        }
    else if (which == READS_STOPPING || which == AT_SIGNAL)
        expect_equal(must(read(pipes[which][0], &byte, 1)), 1);
    else
        expect(syscall(SYS_getppid) > 0);
    atomic_store(&board->phase[which], 2);
    while (!atomic_load(&board->last[which])) {
        struct timespec nap = {0, 1000000};
        expect_equal(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL), 0);
    }
    syscall(SYS_getpgid, 0); // the call that it must not make
    _exit(1);
}

static int await_stop(pid_t child)
{
    int status;
    expect_equal(must(waitpid(child, &status, __WALL)), child);
    if (!WIFSTOPPED(status))
        fail("%d is not stopped: 0x%x", child, status);
    return status >> 8;
}

static struct __ptrace_syscall_info call_of(pid_t child)
{
    struct __ptrace_syscall_info call;
    must(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call));
    return call;
}

static void to_entry(pid_t child, long wanted)
{
    for (int i = 0; i < 300; i++) {
        must(ptrace(PTRACE_SYSCALL, child, 0, 0));
        expect_equal(await_stop(child), SIGTRAP | 0x80);
        struct __ptrace_syscall_info call = call_of(child);
        if (call.op == PTRACE_SYSCALL_INFO_ENTRY && (long)call.entry.nr == wanted)
            return;
    }
    fail("%d does not come to call %ld", child, wanted);
}

static void await_phase(int number, int wanted)
{
    for (int tries = 0; atomic_load(&board->phase[number]) != wanted; tries++) {
        if (tries > 5000)
            fail("child %d does not come to %d", number, wanted);
        nap_ms(1);
    }
}

static void expect_confined(pid_t child)
{
    char path[64], *text;
    snprintf(path, sizeof path, "/proc/%d/status", child);
    text = read_all(path, NULL);
    expect(strstr(text, "\nSeccomp:\t2\n") != NULL && strstr(text, "\nSeccomp_filters:\t1\n") != NULL);
    free(text);
}

int main(void)
{
    pid_t child[KINDS];
    int status;
    board = shared_memory(sizeof *board);
    for (int i = 0; i < KINDS; i++) {
        must(pipe2(pipes[i], O_CLOEXEC));
        if ((child[i] = must(fork())) == 0) {
            struct rlimit none = {0, 0};
            must(setrlimit(RLIMIT_CORE, &none));
            which = i;
            must(raise(SIGSTOP));
            confine();
            body();
        }
        expect_equal(must(waitpid(child[i], &status, WUNTRACED)), child[i]);
        must(ptrace(PTRACE_SEIZE, child[i], 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
        expect_equal(await_stop(child[i]), SIGSTOP | PTRACE_EVENT_STOP << 8);
        must(kill(child[i], SIGCONT));
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        expect_equal(await_stop(child[i]), SIGTRAP | PTRACE_EVENT_STOP << 8);
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        expect_equal(await_stop(child[i]), SIGCONT);
        if (i == AT_ENTRY)
            to_entry(child[i], SYS_getppid);
        else if (i == READS_STOPPING) {
            to_entry(child[i], SYS_read);
            must(ptrace(PTRACE_SYSCALL, child[i], 0, 0));
        } else
            must(ptrace(PTRACE_CONT, child[i], 0, 0));
        await_phase(i, 1);
    }
    nap_ms(50);
    must(kill(child[AT_SIGNAL], SIGUSR1));
    expect_equal(await_stop(child[AT_SIGNAL]), SIGUSR1);
#ifdef JUDGED
    confine();
#endif
    ready();
    wait_verify();

    for (int i = 0; i < KINDS; i++) {
        expect_confined(child[i]);
        expect_equal(must(waitpid(child[i], &status, __WALL | WNOHANG)), 0);
        expect_equal(atomic_load(&board->phase[i]), 1);
    }
    long naps = atomic_load(&board->naps);
    for (int tries = 0; atomic_load(&board->naps) < naps + 2; tries++) {
        expect(tries < 5000);
        nap_ms(1);
    }
    must(write(pipes[READS_STOPPING][1], "x", 1));
    expect_equal(await_stop(child[READS_STOPPING]), SIGTRAP | 0x80);
    struct __ptrace_syscall_info call = call_of(child[READS_STOPPING]);
    expect(call.op == PTRACE_SYSCALL_INFO_EXIT && call.exit.rval == 1);
    must(ptrace(PTRACE_CONT, child[READS_STOPPING], 0, 0));
    await_phase(READS_STOPPING, 2);

    call = call_of(child[AT_ENTRY]);
    expect(call.op == PTRACE_SYSCALL_INFO_ENTRY && call.entry.nr == SYS_getppid);
    must(ptrace(PTRACE_CONT, child[AT_ENTRY], 0, 0));
    await_phase(AT_ENTRY, 2);

    must(ptrace(PTRACE_CONT, child[AT_SIGNAL], 0, 0)); // without the signal
    must(write(pipes[AT_SIGNAL][1], "x", 1));
    await_phase(AT_SIGNAL, 2);

    for (int i = 0; i < KINDS; i++) {
        atomic_store(&board->last[i], 1);
        expect_equal(must(waitpid(child[i], &status, __WALL)), child[i]);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail("child %d ended with status 0x%x", i, status);
    }
    ok();
}
