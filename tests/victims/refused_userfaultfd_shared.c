// refused: watched by a userfaultfd
// Shared memory that a userfaultfd watches.
#include "victim.h"
#include <linux/userfaultfd.h>

int main(void)
{
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (fd < 0)
        skip("userfaultfd is not allowed here");
    struct uffdio_api api = {.api = UFFD_API};
    must(ioctl(fd, UFFDIO_API, &api));
    char *memory = shared_memory(8192);
    struct uffdio_register registering = {.range = {(uintptr_t)memory, 8192}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (ioctl(fd, UFFDIO_REGISTER, &registering) != 0)
        skip("this kernel does not watch shared memory");
    ready();
    wait_verify();
    struct uffdio_zeropage zero = {.range = {(uintptr_t)memory, 4096}};
    must(ioctl(fd, UFFDIO_ZEROPAGE, &zero));
    expect_equal(memory[0], 0);
    ok();
}
