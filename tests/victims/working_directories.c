// A working directory below, one that has been deleted, and one that has been renamed.
#include "victim.h"

// Not the working directory but this one has the files of the protocol.
static int base;

static void stay(const char *wanted)
{
    char path[4096] = {0};
    struct stat status;
    while (fstatat(base, "verify", &status, 0) != 0)
        nap_ms(3);
    if (must(readlink("/proc/self/cwd", path, sizeof path - 1)) < (ssize_t)strlen(wanted) ||
        strcmp(path + strlen(path) - strlen(wanted), wanted) != 0) {
        must(fchdir(base));
        fail("the working directory is %.200s, not ...%s", path, wanted);
    }
    must(stat(".", &status));
    must(fchdir(base));
    expect(S_ISDIR(status.st_mode));
    expect_equal(status.st_nlink == 0, strstr(wanted, "deleted)") != NULL);
    _exit(0);
}

int main(void)
{
    static const char *const names[] = {"below", "gone", "before"}, *const wanted[] = {"/below", "/gone (deleted)", "/after"};
    pid_t pids[3];
    int pipes[2];
    char byte;
    must(pipe(pipes));
    base = must(open(".", O_PATH | O_DIRECTORY));
    for (int i = 0; i < 3; i++) {
        must(mkdir(names[i], 0777));
        if ((pids[i] = must(fork())) == 0) {
            must(chdir(names[i]));
            must(write(pipes[1], "x", 1));
            stay(wanted[i]);
        }
    }
    for (int i = 0; i < 3; i++)
        expect_equal(must(read(pipes[0], &byte, 1)), 1);
    must(rmdir("gone"));
    must(rename("before", "after"));
    ready();
    wait_verify();
    for (int i = 0; i < 3; i++)
        reap_success(pids[i]);
    ok();
}
