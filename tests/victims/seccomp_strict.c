// A child in seccomp's strict mode, which may read, write, exit and return from signal handlers, and nothing else.
#include "victim.h"
#include <linux/seccomp.h>

int main(void)
{
    int question[2], answer[2];
    must(pipe(question));
    must(pipe(answer));
    pid_t child = must(fork());
    if (child == 0) {
        must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
        unsigned char byte = 1;
        for (;;) {
            if (write(answer[1], &byte, 1) != 1 || read(question[0], &byte, 1) != 1)
                syscall(SYS_exit, 1);
            if (byte == 0)
                break;
            byte *= 3;
        }
        syscall(SYS_getpid);
        syscall(SYS_exit, 2);
    }
    unsigned char byte;
    must(read(answer[0], &byte, 1));
    ready();
    wait_verify();
    byte = 7;
    must(write(question[1], &byte, 1));
    must(read(answer[0], &byte, 1));
    expect_equal(byte, 21);
    byte = 0;
    must(write(question[1], &byte, 1));
    int status;
    expect_equal(must(waitpid(child, &status, 0)), child);
    expect(WIFSIGNALED(status));
    expect_equal(WTERMSIG(status), SIGKILL);
    ok();
}
