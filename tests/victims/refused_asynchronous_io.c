// refused: in flight
// A context of io_setup with a request that does not end.
#include "victim.h"
#include <linux/aio_abi.h>

int main(void)
{
    aio_context_t context = 0;
    int ends[2];
    if (syscall(SYS_io_setup, 8, &context) != 0)
        skip("no io_setup in this kernel");
    must(pipe(ends));
    struct iocb request = {.aio_lio_opcode = 5 /* IOCB_CMD_POLL */, .aio_fildes = ends[0], .aio_buf = POLLIN}, *one = &request;
    if (syscall(SYS_io_submit, context, 1, &one) != 1)
        skip("no IOCB_CMD_POLL in this kernel");
    ready();
    wait_verify();
    must(write(ends[1], "x", 1));
    struct io_event event;
    expect_equal(must(syscall(SYS_io_getevents, context, 1, 1, &event, NULL)), 1);
    must(syscall(SYS_io_destroy, context));
    ok();
}
