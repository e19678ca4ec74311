// refused: secret memory
// Memory that only its program can read (memfd_secret), with no descriptor of it left: its content is not put into an image.
#include "victim.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

int main(void)
{
    int fd = syscall(SYS_memfd_secret, O_CLOEXEC);
    if (fd < 0)
        skip("this kernel has no secret memory");
    must(ftruncate(fd, 8192));
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect(memory != MAP_FAILED);
    close(fd);
    fill(memory, 8192, 1);
    ready();
    wait_verify();
    expect(filled(memory, 8192, 1));
    ok();
}
