// refused: namespace
// A child in a UTS namespace of its own.
#include "victim.h"

int main(void)
{
    int pipes[2];
    char byte;
    must(pipe(pipes));
    pid_t child = must(fork());
    if (child == 0) {
        close(pipes[0]);
        if (unshare(CLONE_NEWUTS) != 0)
            _exit(1);
        must(sethostname("victim", 6));
        must(write(pipes[1], "x", 1));
        wait_verify();
        char name[65];
        must(gethostname(name, sizeof name));
        expect(strcmp(name, "victim") == 0);
        _exit(0);
    }
    close(pipes[1]);
    if (must(read(pipes[0], &byte, 1)) != 1)
        skip("unshare is not allowed here");
    ready();
    wait_verify();
    reap_success(child);
    ok();
}
