// A process that shares its descriptor table with its parent (CLONE_FILES): what one opens, the other has.
#include "victim.h"

struct board { atomic_int started, go; int opened; };

int main(void)
{
    struct board *board = shared_memory(sizeof *board);
    int before = must(open("before", O_RDWR | O_CREAT, 0666));
    pid_t pid = must(syscall(SYS_clone, (long)(CLONE_FILES | SIGCHLD), 0, 0, 0, 0));
    if (pid == 0) {
        atomic_fetch_add(&board->started, 1);
        while (!atomic_load(&board->go))
            nap_ms(5);
        board->opened = must(open("opened", O_RDWR | O_CREAT, 0666));
        must(close(before));
        _exit(0);
    }
    while (!atomic_load(&board->started))
        nap_ms(1);
    ready();
    wait_verify();
    expect(fcntl(before, F_GETFD) >= 0);
    atomic_store(&board->go, 1);
    reap_success(pid);
    if (fcntl(board->opened, F_GETFD) == -1)
        fail("a descriptor that the other opened is not here");
    expect(fcntl(before, F_GETFD) == -1 && errno == EBADF);
    ok();
}
