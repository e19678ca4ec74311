// refused: handler is to bring
// A thread inside a system call waits for a page that the handler of a userfaultfd does not bring: it cannot be stopped.
#include "victim.h"
#include <linux/userfaultfd.h>

static char *memory;

static void *reader(void *unused)
{
    int fd = must(open("/proc/self/exe", O_RDONLY));
    expect_equal(must(read(fd, memory, 100)), 100);
    return unused;
}

int main(void)
{
    pthread_t thread;
    struct uffd_msg message;
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (fd < 0)
        skip("userfaultfd is not allowed here");
    struct uffdio_api api = {.api = UFFD_API};
    must(ioctl(fd, UFFDIO_API, &api));
    memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register registering = {.range = {(uintptr_t)memory, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    must(ioctl(fd, UFFDIO_REGISTER, &registering));
    must_zero(pthread_create(&thread, NULL, reader, NULL));
    nap_ms(50);
    ready();
    wait_verify();
    expect_equal(must(read(fd, &message, sizeof message)), sizeof message);
    struct uffdio_zeropage zero = {.range = {(uintptr_t)memory, 4096}};
    must(ioctl(fd, UFFDIO_ZEROPAGE, &zero));
    must_zero(pthread_join(thread, NULL));
    expect(memcmp(memory, "\177ELF", 4) == 0);
    ok();
}
