// snapshot: no threads of the kernel's that work for an io_uring show in /proc
// io_uring, idle: counters, completions that wait, requests that were not submitted, what is registered, rings of one issuer.
#include "victim.h"
#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_ENTER_REGISTERED_RING
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif

struct ring {
    int fd;
    struct io_uring_params p;
    char *rings;
    struct io_uring_sqe *sqes;
    unsigned tail; // the program's own copy, as liburing has it
};

static unsigned *at(struct ring *r, unsigned offset)
{
    return (unsigned *)(r->rings + offset);
}

static bool make(struct ring *r, unsigned entries, unsigned flags)
{
    memset(r, 0, sizeof *r);
    r->p.flags = flags;
    r->fd = syscall(SYS_io_uring_setup, entries, &r->p);
    if (r->fd < 0)
        return false;
    size_t a = r->p.sq_off.array + r->p.sq_entries * 4, b = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
    r->rings = mmap(NULL, a > b ? a : b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
    r->sqes = mmap(NULL, r->p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
    expect(r->rings != MAP_FAILED && (void *)r->sqes != MAP_FAILED);
    return true;
}

static struct io_uring_sqe *next(struct ring *r, int opcode, int fd, uint64_t data)
{
    unsigned index = r->tail++ & (r->p.sq_entries - 1);
    struct io_uring_sqe *sqe = &r->sqes[index];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->user_data = data;
    at(r, r->p.sq_off.array)[index] = index;
    return sqe;
}

static void publish(struct ring *r)
{
    __atomic_store_n(at(r, r->p.sq_off.tail), r->tail, __ATOMIC_RELEASE);
}

static void submit(struct ring *r, unsigned count, unsigned wait)
{
    publish(r);
    expect_equal(must(syscall(SYS_io_uring_enter, r->fd, count, wait, IORING_ENTER_GETEVENTS, NULL, 0)), count);
}

static int take(struct ring *r, uint64_t data)
{
    unsigned *head = at(r, r->p.cq_off.head), tail = __atomic_load_n(at(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE);
    expect(*head != tail);
    struct io_uring_cqe *cqe = (struct io_uring_cqe *)(r->rings + r->p.cq_off.cqes) + (*head & (r->p.cq_entries - 1));
    expect_equal(cqe->user_data, data);
    int result = cqe->res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
}

static int waiting(struct ring *r)
{
    return *at(r, r->p.cq_off.tail) - *at(r, r->p.cq_off.head);
}

static void work(struct ring *r, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        next(r, IORING_OP_NOP, -1, i);
        submit(r, 1, 1);
        expect_equal(take(r, i), 0);
    }
}

static void must_register(struct ring *r, int operation, void *argument, unsigned count)
{
    if (syscall(SYS_io_uring_register, r->fd, operation, argument, count) < 0)
        fail("io_uring_register(%d): %s", operation, strerror(errno));
}

int main(void)
{
    struct ring plain, single, deferred, rich, fresh;
    if (!make(&plain, 8, 0))
        skip("io_uring_setup is not allowed here");
    bool has_single = make(&single, 4, IORING_SETUP_SINGLE_ISSUER), has_deferred = make(&deferred, 16, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN);
    rich.p.cq_entries = 0;
    expect(make(&rich, 5, IORING_SETUP_CLAMP) && make(&fresh, 4, IORING_SETUP_R_DISABLED));
    work(&plain, 1001);
    // Completions that were not taken, and requests that were not submitted.
    for (int i = 0; i < 5; i++)
        next(&plain, IORING_OP_NOP, -1, 100 + i);
    submit(&plain, 5, 5);
    next(&plain, IORING_OP_NOP, -1, 200);
    next(&plain, IORING_OP_NOP, -1, 201);
    publish(&plain);
    expect_equal(waiting(&plain), 5);
    if (has_single)
        work(&single, 777);
    if (has_deferred)
        work(&deferred, 501);
    // An eventfd, files, buffers, and itself.
    int event = must(eventfd(0, EFD_NONBLOCK)), file = must(open("data", O_RDWR | O_CREAT, 0600));
    must(write(file, "0123456789", 10));
    must_register(&rich, IORING_REGISTER_EVENTFD, &event, 1);
    int files[] = {file, -1, event};
    must_register(&rich, IORING_REGISTER_FILES, files, 3);
    static char buffer[3 * 4096] __attribute__((aligned(4096)));
    fill(buffer, sizeof buffer, 3);
    struct iovec vectors[] = {{buffer, 4096}, {buffer + 5000, 6000}};
    must_register(&rich, IORING_REGISTER_BUFFERS, vectors, 2);
    struct io_uring_rsrc_update itself = {.offset = 3, .data = rich.fd};
    bool registered = syscall(SYS_io_uring_register, rich.fd, IORING_REGISTER_RING_FDS, &itself, 1) == 1;
    work(&rich, 20);
    // One that a thread of the kernel's worked for, which stays.
    struct io_uring_sqe *sqe = next(&rich, IORING_OP_NOP, -1, 5);
    sqe->flags = IOSQE_ASYNC;
    submit(&rich, 1, 1);
    take(&rich, 5);
    // More completions than requests: sent from another one.
    sqe = next(&plain, IORING_OP_NOP, -1, 0);
    plain.tail--;
    struct ring sender;
    expect(make(&sender, 4, 0));
    for (int i = 0; i < 3; i++)
        next(&sender, 40 /* IORING_OP_MSG_RING */, plain.fd, 300 + i)->off = 400 + i;
    submit(&sender, 3, 3);
    bool sent = take(&sender, 300) == 0;
    take(&sender, 301);
    take(&sender, 302);
    eventfd_t told;
    must(eventfd_read(event, &told));
    ready();
    wait_verify();
    for (int i = 0; i < 5; i++)
        expect_equal(take(&plain, 100 + i), 0);
    for (int i = 0; sent && i < 3; i++)
        take(&plain, 400 + i);
    expect_equal(waiting(&plain), 0);
    submit(&plain, 2, 2);
    expect_equal(take(&plain, 200), 0);
    expect_equal(take(&plain, 201), 0);
    work(&plain, 100);
    if (has_single)
        work(&single, 100);
    if (has_deferred)
        work(&deferred, 100);
    work(&sender, 10);
    expect(eventfd_read(event, &told) == -1 && errno == EAGAIN);
    // A registered file into a registered buffer.
    sqe = next(&rich, IORING_OP_READ_FIXED, 0, 9);
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->addr = (uint64_t)(buffer + 5100);
    sqe->len = 4;
    sqe->off = 3;
    sqe->buf_index = 1;
    submit(&rich, 1, 1);
    expect_equal(take(&rich, 9), 4);
    expect(memcmp(buffer + 5100, "3456", 4) == 0);
    must(eventfd_read(event, &told));
    expect_equal(told, 1);
    sqe = next(&rich, IORING_OP_READ, 1, 10);
    sqe->flags = IOSQE_FIXED_FILE;
    submit(&rich, 1, 1);
    expect_equal(take(&rich, 10), -EBADF);
    if (registered) {
        next(&rich, IORING_OP_NOP, -1, 11);
        publish(&rich);
        expect_equal(must(syscall(SYS_io_uring_enter, 3, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, NULL, 0)), 1);
        expect_equal(take(&rich, 11), 0);
    }
    expect(syscall(SYS_io_uring_enter, fresh.fd, 0, 0, 0, NULL, 0) == -1 && errno == EBADFD);
    must_register(&fresh, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    work(&fresh, 10);
    ok();
}
