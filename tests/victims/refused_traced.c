// refused: trac
// A child that another process, outside of the tree, traces.
#include "victim.h"
#include <sys/ptrace.h>

static pid_t child;

static void trace(void)
{
    must(ptrace(PTRACE_SEIZE, child, 0, 0));
}

int main(void)
{
    child = must(fork());
    if (child == 0) {
        wait_verify();
        _exit(0);
    }
    outside(trace);
    ready();
    wait_verify();
    reap_success(child);
    ok();
}
