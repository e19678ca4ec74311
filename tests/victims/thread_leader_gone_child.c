// A child whose main thread has ended with a status of its own: when the last thread ends too, that is what its parent is told,
// once, and not before. Its descriptors, directory, umask and children are those of the thread that goes on.
#include "victim.h"

static int go[2], gone[2], began[2];

static void *last(void *unused)
{
    pid_t grandchild = must(fork());
    if (grandchild == 0) {
        // Sent when the thread that is its parent ends: not by the end of the main thread, which is long gone.
        must(prctl(PR_SET_PDEATHSIG, SIGKILL));
        must(write(began[1], "x", 1));
        char byte;
        must(read(gone[0], &byte, 1));
        _exit(byte);
    }
    char byte, where[PATH_MAX];
    must(read(go[0], &byte, 1));
    must(write(gone[1], &byte, 1));
    reap_success(grandchild);
    expect_equal(umask(0), 0127);
    expect(getcwd(where, sizeof where) != NULL);
    must(fcntl(45, F_GETFD));
    syscall(SYS_exit, 5);
    return unused;
}

int main(void)
{
    must(pipe(go));
    must(pipe(gone));
    must(pipe(began));
    pid_t child = must(fork());
    if (child == 0) {
        pthread_t thread;
        umask(0127);
        must(dup2(1, 45));
        must_zero(pthread_create(&thread, NULL, last, NULL));
        syscall(SYS_exit, 5);
    }
    char byte;
    must(read(began[0], &byte, 1));
    await_end(child);
    ready();
    wait_verify();
    expect_equal(waitpid(child, NULL, WNOHANG), 0);
    must(write(go[1], "", 1));
    int status;
    expect_equal(must(waitpid(child, &status, 0)), child);
    expect_equal(status, 5 << 8);
    expect_equal(waitpid(child, NULL, WNOHANG), -1);
    expect_equal(errno, ECHILD);
    ok();
}
