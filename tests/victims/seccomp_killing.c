// That a filter that kills is in force again: a child makes the one call that it must not make.
#include "victim.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

int main(void)
{
    atomic_int *phase = shared_memory(sizeof *phase);
    pid_t child = must(fork());
    if (child == 0) {
        struct sock_filter filter[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
        struct rlimit none = {0, 0};
        must(setrlimit(RLIMIT_CORE, &none));
        // With the privilege, which is then given up: without no_new_privs.
        must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
        must(setgid(4711));
        must(setuid(4711));
        atomic_store(phase, 1);
        while (atomic_load(phase) == 1)
            nap_ms(5);
        prctl(PR_GET_DUMPABLE);
        _exit(1);
    }
    while (atomic_load(phase) == 0)
        nap_ms(1);
    ready();
    wait_verify();
    char path[64], *text;
    snprintf(path, sizeof path, "/proc/%d/status", child);
    text = read_all(path, NULL);
    expect(strstr(text, "\nNoNewPrivs:\t0\n") != NULL);
    expect(strstr(text, "\nUid:\t4711\t4711\t4711\t4711\n") != NULL);
    expect(strstr(text, "\nSeccomp:\t2\n") != NULL);
    atomic_store(phase, 2);
    int status;
    expect_equal(must(waitpid(child, &status, 0)), child);
    expect_equal(status & 0x7f, SIGSYS);
    ok();
}
