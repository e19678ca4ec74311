// A program of 32 bits and processes that share with it without being threads: one its descriptors and directories (CLONE_FILES, CLONE_FS), one
// its memory (CLONE_VM).
#include "victim.h"

#ifndef __i386__
int main(void)
{
    skip("this compiler makes no 32-bit programs (gcc-multilib)");
}
#else

struct board { atomic_int go, opened; };
static atomic_int in_memory;
static char stack[65536] __attribute__((aligned(16)));

static int in_same_memory(void *argument)
{
    // Nothing that needs thread-local data of its own.
    struct timespec nap = {0, 5000000};
    while (atomic_load(&in_memory) == 0)
        syscall(SYS_nanosleep, &nap, NULL);
    atomic_store((atomic_int *)argument, 77);
    return 6;
}

int main(void)
{
    static atomic_int answer;
    int status;
    struct board *board = shared_memory(sizeof *board);
    int before = must(open("before", O_RDWR | O_CREAT, 0666));
    pid_t sharing = must(syscall(SYS_clone, (long)(CLONE_FILES | CLONE_FS | SIGCHLD), 0, 0, 0, 0));
    if (sharing == 0) {
        while (atomic_load(&board->go) == 0)
            nap_ms(2);
        mkdir("down", 0777);
        must(chdir("down"));
        atomic_store(&board->opened, must(open("after", O_RDWR | O_CREAT, 0666)));
        must(close(before));
        _exit(0);
    }
    pid_t beside = must(clone(in_same_memory, stack + sizeof stack, CLONE_VM | SIGCHLD, &answer));
    nap_ms(20);
    ready();
    wait_verify();
    atomic_store(&board->go, 1);
    expect_equal(must(waitpid(sharing, &status, 0)), sharing);
    must(access("../down/after", F_OK));
    must(chdir(".."));
    expect_equal(status, 0);
    expect(fcntl(before, F_GETFD) == -1 && errno == EBADF);
    expect(fcntl(atomic_load(&board->opened), F_GETFD) != -1);
    atomic_store(&in_memory, 1);
    expect_equal(must(waitpid(beside, &status, 0)), beside);
    expect_equal(WEXITSTATUS(status), 6);
    expect_equal(atomic_load(&answer), 77);
    ok();
}
#endif
