// snapshot: no, its processes are at work
// A tracer that follows forks, whose tracees lose their parents all the time and end soon after: it hears of every end.
#include "victim.h"
#include <sys/ptrace.h>

static void round_of_two(void)
{
    int begin[2];
    must(pipe(begin));
    pid_t child = must(fork());
    if (child == 0) {
        char byte;
        must(read(begin[0], &byte, 1));
        if (must(fork()) == 0)
            nap_ms(15); // its parent is gone by then
        _exit(0);
    }
    must(ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL));
    must(write(begin[1], "b", 1));
    close(begin[0]);
    close(begin[1]);
    for (int ended = 0; ended < 2;) {
        int status;
        pid_t who = waitpid(-1, &status, __WALL);
        if (who < 0)
            fail("after %d ends of two: %s", ended, strerror(errno));
        if (WIFSTOPPED(status))
            must(ptrace(PTRACE_CONT, who, 0, 0));
        else
            ended++;
    }
}

int main(void)
{
    for (int i = 0; i < 3; i++)
        round_of_two();
    ready();
    while (access("verify", F_OK) != 0) {
        round_of_two();
        nap_ms(20); // while a tracee is an orphan no checkpoint can be taken: there must be moments without one
    }
    for (int i = 0; i < 3; i++)
        round_of_two();
    ok();
}
