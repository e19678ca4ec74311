// refused: which is not among its descendants
// A process that traces one whose parent has ended.
#include "victim.h"
#include <sys/ptrace.h>

int main(void)
{
    int end[2], told[2];
    must(pipe(end));
    must(pipe(told));
    pid_t child = must(fork()), orphan;
    if (child == 0) {
        orphan = must(fork());
        if (orphan == 0) {
            char byte;
            close(end[1]);
            _exit(read(end[0], &byte, 1) == 0 ? 7 : 1);
        }
        expect_equal(must(write(told[1], &orphan, sizeof orphan)), sizeof orphan);
        _exit(0);
    }
    expect_equal(must(read(told[0], &orphan, sizeof orphan)), sizeof orphan);
    reap_success(child);
    must(ptrace(PTRACE_SEIZE, orphan, 0, 0));
    ready();
    wait_verify();
    close(end[1]);
    int status;
    expect_equal(must(waitpid(orphan, &status, __WALL)), orphan);
    expect(WIFEXITED(status));
    expect_equal(WEXITSTATUS(status), 7);
    ok();
}
