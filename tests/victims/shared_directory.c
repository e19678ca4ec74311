// A process that shares its working directory, root and umask with its parent (CLONE_FS).
#include "victim.h"

struct board { atomic_int started, go; };

int main(void)
{
    char path[4096];
    struct board *board = shared_memory(sizeof *board);
    must(mkdir("below", 0777));
    int base = must(open(".", O_PATH | O_DIRECTORY));
    umask(022);
    pid_t pid = must(syscall(SYS_clone, (long)(CLONE_FS | SIGCHLD), 0, 0, 0, 0));
    if (pid == 0) {
        atomic_fetch_add(&board->started, 1);
        while (!atomic_load(&board->go))
            nap_ms(5);
        must(chdir("below"));
        umask(0123);
        _exit(0);
    }
    while (!atomic_load(&board->started))
        nap_ms(1);
    ready();
    wait_verify();
    atomic_store(&board->go, 1);
    reap_success(pid);
    mode_t mask = umask(0);
    expect(getcwd(path, sizeof path) != NULL);
    must(fchdir(base));
    expect_equal(mask, 0123);
    expect(strlen(path) > 6 && strcmp(path + strlen(path) - 6, "/below") == 0);
    ok();
}
