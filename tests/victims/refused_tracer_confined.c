// refused: may not set aside
// A tracer that is confined itself, and so may not set the filters of its tracee aside; and those do not let it make calls that are needed for it.
#include "victim.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ptrace.h>

int main(void)
{
    struct sock_filter filter[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, filter};
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    int confined[2];
    char byte = 0;
    must(pipe(confined));
    pid_t child = must(fork());
    if (child == 0) {
        struct sock_filter own[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        program = (struct sock_fprog){sizeof own / sizeof *own, own};
        must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
        must(write(confined[1], "x", 1));
        wait_verify();
        _exit(0);
    }
    expect_equal(must(read(confined[0], &byte, 1)), 1);
    must(ptrace(PTRACE_SEIZE, child, 0, 0));
    ready();
    wait_verify_through_signals();
    reap_success(child);
    ok();
}
