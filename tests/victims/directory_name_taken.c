// snapshot: no what is removed has another name after a restart
// Removed directories whose names are others' now: one that is open, a working directory, and what they were in.
#include "victim.h"

static void expect_gone(int directory)
{
    struct stat status;
    must(fstat(directory, &status));
    expect(S_ISDIR(status.st_mode) && status.st_nlink == 0);
}

int main(void)
{
    int base = must(open(".", O_PATH | O_DIRECTORY)), directories[4];
    must(mkdir("again", 0777));
    must(mkdir("outer", 0777));
    must(mkdir("outer/inner", 0777));
    must(mkdir("file", 0777));
    must(mkdir("file/inner", 0777));
    directories[0] = must(open("again", O_RDONLY | O_DIRECTORY));
    directories[1] = must(open("outer/inner", O_RDONLY | O_DIRECTORY));
    directories[2] = must(open("file/inner", O_RDONLY | O_DIRECTORY));
    must(chdir("file/inner"));
    directories[3] = must(open(".", O_PATH | O_DIRECTORY));
    must(fchdir(base));
    must(rmdir("again"));
    must(mkdir("again", 0777));
    must(rmdir("outer/inner"));
    must(rmdir("outer"));
    must(rmdir("file/inner"));
    must(rmdir("file"));
    must(close(must(open("file", O_WRONLY | O_CREAT | O_EXCL, 0666))));
    ready();
    must(fchdir(directories[3]));
    struct stat status;
    while (fstatat(base, "verify", &status, 0) != 0)
        nap_ms(3);
    must(stat(".", &status));
    expect_equal(status.st_nlink, 0);
    must(fchdir(base));
    for (int i = 0; i < 4; i++)
        expect_gone(directories[i]);
    expect(access("outer", F_OK) == -1);
    ok();
}
