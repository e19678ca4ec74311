// A process that may not be dumped (dumpable 0), and the death signal that a parent's end still sends.
#include "victim.h"

int main(void)
{
    int pipes[2];
    char byte;
    must(prctl(PR_SET_CHILD_SUBREAPER, 1));
    must(pipe(pipes));
    pid_t parent = must(fork());
    if (parent == 0) {
        pid_t child = must(fork());
        if (child == 0) {
            must(prctl(PR_SET_PDEATHSIG, SIGKILL));
            must(write(pipes[1], "x", 1));
            for (;;)
                nap_ms(50);
        }
        for (;;)
            nap_ms(50);
    }
    expect_equal(must(read(pipes[0], &byte, 1)), 1);
    must(prctl(PR_SET_DUMPABLE, 0));
    ready();
    wait_verify();
    expect_equal(prctl(PR_GET_DUMPABLE), 0);
    must(kill(parent, SIGKILL));
    int status, ended = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, 0)) > 0) {
        expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        ended++;
    }
    expect_equal(ended, 2);
    ok();
}
