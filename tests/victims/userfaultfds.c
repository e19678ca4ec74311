// Memory paged by the program itself (userfaultfd): missing pages stay missing, present ones stay present, zeros too; protected pages stay protected.
// Two of them watch one process; a thread waits in a fault over the checkpoint, which the handler sees only after it.
#include "victim.h"
#include <linux/userfaultfd.h>
#include <sys/epoll.h>

enum { PAGE = 4096, PAGES = 32, WAITED_FOR = 29 };

static int first, second, events;
static char *missing, *guarded, *closed;
static atomic_int faults, writes;

static int make(int flags, uint64_t features)
{
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);
    if (fd < 0)
        skip("userfaultfd is not allowed here");
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    must(ioctl(fd, UFFDIO_API, &api));
    return fd;
}

static void watch(int fd, void *memory, size_t bytes, int modes)
{
    struct uffdio_register registering = {.range = {(uintptr_t)memory, bytes}, .mode = modes};
    must(ioctl(fd, UFFDIO_REGISTER, &registering));
}

static void bring(int fd, void *page, uint64_t seed)
{
    char content[PAGE] __attribute__((aligned(PAGE)));
    fill(content, PAGE, seed);
    struct uffdio_copy copy = {.dst = (uintptr_t)page, .src = (uintptr_t)content, .len = PAGE};
    if (ioctl(fd, UFFDIO_COPY, &copy) != 0 && errno != EEXIST)
        fail("UFFDIO_COPY: %s", strerror(errno));
}

static void protect(int fd, void *page, bool on)
{
    struct uffdio_writeprotect call = {.range = {(uintptr_t)page, PAGE}, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};
    must(ioctl(fd, UFFDIO_WRITEPROTECT, &call));
}

static void *handler(void *unused)
{
    struct uffd_msg message;
    struct epoll_event event;
    while (!told_to_verify())
        nap_ms(3);
    for (;;) {
        if (epoll_wait(events, &event, 1, -1) < 1)
            continue;
        if (read(event.data.fd, &message, sizeof message) != sizeof message)
            continue; // withdrawn meanwhile
        expect_equal(message.event, UFFD_EVENT_PAGEFAULT);
        char *page = (char *)(message.arg.pagefault.address & ~(uint64_t)(PAGE - 1));
        if (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
            atomic_fetch_add(&writes, 1);
            expect(event.data.fd == second);
            protect(second, page, false);
        } else {
            atomic_fetch_add(&faults, 1);
            bring(event.data.fd, page, (uintptr_t)page);
        }
    }
    return unused;
}

static void *waiter(void *unused)
{
    expect(filled(missing + WAITED_FOR * PAGE, PAGE, (uintptr_t)missing + WAITED_FOR * PAGE));
    return unused;
}

static void add(int fd)
{
    must(epoll_ctl(events, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd}));
}

int main(void)
{
    pthread_t thread, waiting;
    first = make(0, 0);
    second = make(1 /* UFFD_USER_MODE_ONLY */, UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_THREAD_ID);
    events = must(epoll_create1(EPOLL_CLOEXEC));
    add(first);
    add(second);
    missing = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    guarded = mmap((void *)0x300000000000, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    closed = mmap((void *)0x310000000000, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // Not even huge pages may bring what is missing.
    madvise(missing, PAGES * PAGE, MADV_HUGEPAGE);
    watch(first, missing, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING);
    for (int i = 0; i < 8; i++)
        bring(first, missing + i * PAGE, i);
    struct uffdio_zeropage zero = {.range = {(uintptr_t)missing + 9 * PAGE, 2 * PAGE}};
    must(ioctl(first, UFFDIO_ZEROPAGE, &zero));
    // Another one, missing and write-protected, and a page taken away again.
    for (int i = 0; i < 16; i++)
        fill(guarded + i * PAGE, PAGE, i);
    watch(second, guarded, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
    for (int i = 0; i < 16; i += 2)
        protect(second, guarded + i * PAGE, true);
    must(madvise(guarded + 15 * PAGE, PAGE, MADV_DONTNEED));
    fill(closed, PAGE, 77);
    watch(second, closed, 2 * PAGE, UFFDIO_REGISTER_MODE_MISSING);
    must(mprotect(closed, 2 * PAGE, PROT_NONE));
    must_zero(pthread_create(&thread, NULL, handler, NULL));
    must_zero(pthread_create(&waiting, NULL, waiter, NULL));
    nap_ms(20);
    ready();
    wait_verify();
    must_zero(pthread_join(waiting, NULL));
    int before = atomic_load(&faults);
    expect(before >= 1);
    // The second does not help the kernel (UFFD_USER_MODE_ONLY).
    int ends[2];
    must(pipe(ends));
    must(write(ends[1], "text", 4));
    expect_equal(read(ends[0], guarded + 20 * PAGE, 4), -1);
    expect_equal(errno, EFAULT);
    // What was there is there, and asks nobody.
    for (int i = 0; i < 8; i++)
        expect(filled(missing + i * PAGE, PAGE, i));
    for (int i = 0; i < 2 * PAGE; i++)
        expect_equal(missing[9 * PAGE + i], 0);
    for (int i = 0; i < 15; i++)
        expect(filled(guarded + i * PAGE, PAGE, i));
    expect_equal(atomic_load(&faults), before);
    expect_equal(atomic_load(&writes), 0);
    // What was missing is asked for, once for each page.
    int asked = 0;
    for (int i = 0; i < PAGES; i++)
        if (i == 8 || (i > 10 && i != WAITED_FOR)) {
            expect(filled(missing + i * PAGE, PAGE, (uintptr_t)missing + i * PAGE));
            asked++;
        }
    for (int i = 15; i < PAGES; i++) {
        expect(filled(guarded + i * PAGE, PAGE, (uintptr_t)guarded + i * PAGE));
        asked++;
    }
    must(mprotect(closed, 2 * PAGE, PROT_READ | PROT_WRITE));
    expect(filled(closed, PAGE, 77) && filled(closed + PAGE, PAGE, (uintptr_t)closed + PAGE));
    expect_equal(atomic_load(&faults), before + asked + 1);
    for (int i = 0; i < 15; i++)
        guarded[i * PAGE] ^= 1;
    expect_equal(atomic_load(&writes), 8);
    ok();
}
