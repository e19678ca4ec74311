// A directory that is open and has been deleted.
#include "victim.h"

int main(void)
{
    struct stat status;
    must(mkdir("directory", 0777));
    int directory = must(open("directory", O_RDONLY | O_DIRECTORY));
    must(rmdir("directory"));
    ready();
    wait_verify();
    must(fstat(directory, &status));
    expect(S_ISDIR(status.st_mode) && status.st_nlink == 0);
    expect(openat(directory, "file", O_CREAT | O_WRONLY, 0666) == -1 && errno == ENOENT);
    ok();
}
