// A process in a root directory of its own (chroot).
#include "victim.h"

int main(void)
{
    must(mkdir("etc", 0777));
    int fd = must(open("etc/marker", O_CREAT | O_WRONLY, 0666));
    must(write(fd, "here", 4));
    close(fd);
    must(chroot("."));
    must(chdir("/"));
    fd = must(open("/etc/marker", O_RDONLY));
    must(lseek(fd, 2, SEEK_SET));
    ready();
    wait_verify();
    expect(access("/etc/marker", R_OK) == 0 && access("/bin", F_OK) == -1);
    expect(access("/../etc/marker", R_OK) == 0 && access("/../bin", F_OK) == -1);
    char text[10];
    expect_equal(must(read(fd, text, 10)), 2);
    ok();
}
