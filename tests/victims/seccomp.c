// Three seccomp filters, one on the other: the last allows nothing but what is needed to wait and to check. None of the
// calls that a checkpoint makes in a process are among that, and each of them would be its death; nor is restart_syscall, by
// which a sleep goes on after a stop.
#include "victim.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(call, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)
#define OTHERWISE(action) BPF_STMT(BPF_RET | BPF_K, action)

static void install(struct sock_filter *filter, unsigned short length, unsigned flags)
{
    struct sock_fprog program = {length, filter};
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

#define INSTALL(filter, flags) install(filter, sizeof(filter) / sizeof *(filter), flags)

int main(void)
{
    struct sock_filter parent[] = {LOAD(nr), ANSWER(SYS_getppid, SECCOMP_RET_ERRNO | 77), OTHERWISE(SECCOMP_RET_ALLOW)};
    // Also by an argument: closing descriptor 1234567 answers as no kernel does.
    struct sock_filter argument[] = {
        LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 0, 3), LOAD(args[0]), ANSWER(1234567, SECCOMP_RET_ERRNO | 88),
        OTHERWISE(SECCOMP_RET_ALLOW),
    };
    struct sock_filter wall[] = {
        LOAD(nr), ANSWER(SYS_clock_nanosleep, SECCOMP_RET_ALLOW), ANSWER(SYS_newfstatat, SECCOMP_RET_ALLOW),
        ANSWER(SYS_openat, SECCOMP_RET_ALLOW), ANSWER(SYS_read, SECCOMP_RET_ALLOW), ANSWER(SYS_write, SECCOMP_RET_ALLOW),
        ANSWER(SYS_close, SECCOMP_RET_ALLOW), ANSWER(SYS_getppid, SECCOMP_RET_ALLOW),
        ANSWER(SYS_exit_group, SECCOMP_RET_ALLOW), ANSWER(SYS_rt_sigreturn, SECCOMP_RET_ALLOW), OTHERWISE(SECCOMP_RET_KILL_PROCESS),
    };
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    INSTALL(parent, 0);
    INSTALL(argument, SECCOMP_FILTER_FLAG_LOG);
    INSTALL(wall, 0);
    ready();
    wait_verify();
    expect_equal(syscall(SYS_getppid), -1);
    expect_equal(errno, 77);
    expect_equal(close(1234567), -1);
    expect_equal(errno, 88);
    static char text[8192];
    int fd = must(open("/proc/self/status", O_RDONLY));
    text[must(read(fd, text, sizeof text - 1))] = 0;
    expect(strstr(text, "\nNoNewPrivs:\t1\n") != NULL);
    expect(strstr(text, "\nSeccomp:\t2\nSeccomp_filters:\t3\n") != NULL);
    ok();
}
