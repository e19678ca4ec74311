// snapshot: no the sleep of one of its children ends at some time
// A tracer that its tracees' filters tell of some calls, as strace --seccomp-bpf has it: one waits in such a call (read), one sleeps in such a call, one in
// a call that nobody is told of, one in a call of whose end the tracer need not hear, one without a filter. The tracer hears of each call's end, and not once
// more of its beginning; and of the next call.
#include "victim.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ptrace.h>

enum { READS, SLEEPS, WAITS, CONTINUES, FREE, KINDS };
static int pipes[KINDS][2];

static void confine(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_nanosleep, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 7),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void body(int which)
{
    char byte = 0;
    if (which == WAITS) {
        struct pollfd wait = {pipes[WAITS][0], POLLIN, 0};
        expect_equal(syscall(SYS_poll, &wait, 1, 60000), 1);
    } else if (which == SLEEPS) {
        struct timespec nap = {0, 700 * 1000000};
        expect_equal(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL), 0);
    }
    expect_equal(syscall(SYS_read, pipes[which][0], &byte, 1), 1);
    _exit(0);
}

static int await_stop(pid_t child)
{
    int status;
    expect_equal(must(waitpid(child, &status, __WALL)), child);
    if (!WIFSTOPPED(status))
        fail("%d is not stopped: 0x%x", child, status);
    return status >> 8;
}

static void expect_told(pid_t child, long call)
{
    struct __ptrace_syscall_info information;
    expect_equal(await_stop(child), SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
    must(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof information, &information));
    expect(information.op == PTRACE_SYSCALL_INFO_SECCOMP && (long)information.seccomp.nr == call && information.seccomp.ret_data == 7);
}

static void expect_end_of_call(pid_t child, long result)
{
    struct __ptrace_syscall_info information;
    expect_equal(await_stop(child), SIGTRAP | 0x80);
    must(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof information, &information));
    expect_equal(information.op, PTRACE_SYSCALL_INFO_EXIT);
    expect_equal(information.exit.rval, result);
}

int main(void)
{
    pid_t child[KINDS];
    int status;
    for (int i = 0; i < KINDS; i++) {
        must(pipe2(pipes[i], O_CLOEXEC));
        if ((child[i] = must(fork())) == 0) {
            must(raise(SIGSTOP));
            if (i != FREE)
                confine();
            body(i);
        }
        expect_equal(must(waitpid(child[i], &status, WUNTRACED)), child[i]);
        must(ptrace(PTRACE_SEIZE, child[i], 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL));
        expect_equal(await_stop(child[i]), SIGSTOP | PTRACE_EVENT_STOP << 8);
        must(kill(child[i], SIGCONT));
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        expect_equal(await_stop(child[i]), SIGTRAP | PTRACE_EVENT_STOP << 8);
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        expect_equal(await_stop(child[i]), SIGCONT);
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        if (i == WAITS || i == FREE)
            continue;
        expect_told(child[i], i == SLEEPS ? SYS_clock_nanosleep : SYS_read);
        must(ptrace(i == CONTINUES ? PTRACE_CONT : PTRACE_SYSCALL, child[i], 0, 0));
    }
    nap_ms(30);
    ready();
    wait_verify();

    expect_end_of_call(child[SLEEPS], 0);
    must(ptrace(PTRACE_CONT, child[SLEEPS], 0, 0));
    expect_told(child[SLEEPS], SYS_read);
    must(ptrace(PTRACE_SYSCALL, child[SLEEPS], 0, 0));
    for (int i = 0; i < KINDS; i++)
        expect_equal(must(waitpid(child[i], &status, __WALL | WNOHANG)), 0);
    for (int i = 0; i < KINDS; i++) {
        must(write(pipes[i][1], "x", 1));
        if (i == CONTINUES || i == FREE) {
            expect_equal(must(waitpid(child[i], &status, __WALL)), child[i]);
            expect_equal(status, 0);
            continue;
        }
        if (i == WAITS) {
            expect_told(child[i], SYS_read);
            must(ptrace(PTRACE_SYSCALL, child[i], 0, 0));
        }
        expect_end_of_call(child[i], 1);
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        expect_equal(must(waitpid(child[i], &status, __WALL)), child[i]);
        expect_equal(status, 0);
    }
    ok();
}
