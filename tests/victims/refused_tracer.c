// refused: itself being traced
// A process that traces its child and is traced by its parent.
#include "victim.h"
#include <sys/ptrace.h>

int main(void)
{
    pid_t tracer = must(fork());
    if (tracer == 0) {
        pid_t child = must(fork());
        if (child == 0) {
            wait_verify();
            _exit(0);
        }
        must(ptrace(PTRACE_SEIZE, child, 0, 0));
        say("nested", "yes");
        reap_success(child);
        _exit(0);
    }
    struct stat status;
    while (stat("nested", &status) != 0)
        nap_ms(1);
    must(ptrace(PTRACE_SEIZE, tracer, 0, 0));
    ready();
    wait_verify_through_signals();
    // Its child's end sends it a signal, which it is to get.
    int state;
    while (must(waitpid(tracer, &state, __WALL)) == tracer && WIFSTOPPED(state))
        must(ptrace(PTRACE_CONT, tracer, 0, WSTOPSIG(state)));
    expect_equal(state, 0);
    ok();
}
