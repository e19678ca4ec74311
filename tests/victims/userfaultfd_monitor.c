// Page faults of one process that another one handles: a child that got the userfaultfd of its parent at birth, and has one of its own for itself. The
// parent's can also be opened by /dev/userfaultfd.
#include "victim.h"
#include <linux/userfaultfd.h>

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0)
#endif
enum { PAGE = 4096, PAGES = 16 };

static void set_up(int fd)
{
    struct uffdio_api api = {.api = UFFD_API};
    must(ioctl(fd, UFFDIO_API, &api));
}

static char *watched(int fd)
{
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register registering = {.range = {(uintptr_t)memory, PAGES * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    must(ioctl(fd, UFFDIO_REGISTER, &registering));
    return memory;
}

// Answers one fault with a page of bytes.
static void answer(int fd, char byte)
{
    static char content[PAGE] __attribute__((aligned(PAGE)));
    struct uffd_msg message;
    if (read(fd, &message, sizeof message) != sizeof message)
        fail("read of a userfaultfd: %s", strerror(errno));
    expect_equal(message.event, UFFD_EVENT_PAGEFAULT);
    memset(content, byte, PAGE);
    struct uffdio_copy copy = {.dst = message.arg.pagefault.address & ~(uint64_t)(PAGE - 1), .src = (uintptr_t)content, .len = PAGE};
    if (ioctl(fd, UFFDIO_COPY, &copy) != 0 && errno != EEXIST)
        fail("UFFDIO_COPY: %s", strerror(errno));
}

static int own;
static void *answerer(void *unused)
{
    answer(own, 2);
    return unused;
}

int main(void)
{
    struct { atomic_int set, go; } *board = shared_memory(PAGE);
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), fd = device < 0 ? -1 : ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
    close(device);
    if (fd < 0)
        fd = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (fd < 0)
        skip("userfaultfd is not allowed here");
    set_up(fd);
    char *memory = watched(fd);
    pid_t pid = must(fork());
    if (pid == 0) {
        pthread_t thread;
        own = must(syscall(SYS_userfaultfd, O_CLOEXEC));
        set_up(own);
        char *mine = watched(own);
        // What the parent's watches is not watched here.
        expect_equal(memory[PAGE], 0);
        atomic_store(&board->set, 1);
        while (!atomic_load(&board->go))
            nap_ms(3);
        must_zero(pthread_create(&thread, NULL, answerer, NULL));
        expect_equal(mine[5 * PAGE], 2);
        must_zero(pthread_join(thread, NULL));
        expect_equal(memory[PAGE], 0);
        expect_equal(memory[2 * PAGE], 0);
        for (int i = 0; i < PAGES; i++)
            answer(fd, 3);
        _exit(0);
    }
    while (!atomic_load(&board->set))
        nap_ms(2);
    ready();
    wait_verify();
    atomic_store(&board->go, 1);
    for (int i = 0; i < PAGES; i++)
        expect_equal(memory[i * PAGE + 7], 3);
    reap_success(pid);
    ok();
}
