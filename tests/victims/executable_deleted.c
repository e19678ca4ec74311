// The program's file has been deleted or replaced since it was started, as an upgrade does it.
#include "victim.h"

int main(int count, char **arguments)
{
    (void)arguments;
    if (count == 1) {
        char path[4096] = {0};
        must(readlink("/proc/self/exe", path, sizeof path - 1));
        char command[8300];
        snprintf(command, sizeof command, "cp %s copy", path);
        expect_equal(system(command), 0);
        must(execl("./copy", "copy", "second", NULL));
    }
    must(unlink("copy"));
    static uint64_t words[1024];
    fill(words, sizeof words, 1);
    ready();
    wait_verify();
    expect(filled(words, sizeof words, 1));
    expect_equal(access("copy", F_OK), -1);
    ok();
}
