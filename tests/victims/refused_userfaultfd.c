// refused: userfaultfd
// A userfaultfd.
#include "victim.h"

int main(void)
{
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | 1);
    if (fd < 0)
        skip("userfaultfd is not allowed here");
    ready();
    wait_verify();
    expect(fcntl(fd, F_GETFD) >= 0);
    ok();
}
