// refused: in flight
// An instance of io_uring with a request that does not end.
#include "victim.h"
#include <linux/io_uring.h>

int main(void)
{
    struct io_uring_params p = {0};
    int fd = syscall(SYS_io_uring_setup, 4, &p), ends[2];
    if (fd < 0)
        skip("io_uring_setup is not allowed here");
    must(pipe(ends));
    char *rings = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING), byte = 0;
    struct io_uring_sqe *sqe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
    expect(rings != MAP_FAILED && (void *)sqe != MAP_FAILED);
    *sqe = (struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = ends[0], .addr = (uint64_t)&byte, .len = 1};
    *(unsigned *)(rings + p.sq_off.array) = 0;
    *(unsigned *)(rings + p.sq_off.tail) = 1;
    expect_equal(must(syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0)), 1);
    ready();
    wait_verify();
    must(write(ends[1], "x", 1));
    must(syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
    expect_equal(byte, 'x');
    ok();
}
