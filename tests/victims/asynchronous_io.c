// Contexts of io_setup, idle: fresh, used, with completions that were not taken; a thread that waits for one.
#include "victim.h"
#include <linux/aio_abi.h>

struct ring {
    unsigned id, places, head, tail;
};

static aio_context_t make(unsigned requests)
{
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, requests, &context) != 0)
        skip("no io_setup in this kernel");
    return context;
}

static void submit(aio_context_t context, int file, uint64_t data, void *buffer, size_t length)
{
    struct iocb request = {.aio_data = data, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = file, .aio_buf = (uint64_t)buffer, .aio_nbytes = length, .aio_offset = data}, *one = &request;
    expect_equal(must(syscall(SYS_io_submit, context, 1, &one)), 1);
}

static void take(aio_context_t context, uint64_t data, long result)
{
    struct io_event event;
    expect_equal(must(syscall(SYS_io_getevents, context, 1, 1, &event, NULL)), 1);
    expect_equal(event.data, data);
    expect_equal(event.res, result);
}

static void nothing(aio_context_t context)
{
    struct io_event event;
    expect_equal(must(syscall(SYS_io_getevents, context, 0, 1, &event, &(struct timespec){0, 0})), 0);
}

static void *wait_for_it(void *context)
{
    take(*(aio_context_t *)context, 1, 1);
    return NULL;
}

int main(void)
{
    aio_context_t fresh = make(1), dropped = make(4), used = make(8), waiting = make(300), waited = make(2);
    int file = must(open("data", O_RDWR | O_CREAT, 0600));
    must(write(file, "0123456789", 10));
    char buffer[8][4];
    for (int i = 0; i < 1000; i++) {
        submit(used, file, i % 5, buffer[0], 2);
        take(used, i % 5, 2);
    }
    for (int i = 0; i < 5; i++)
        submit(used, file, i, buffer[i], 3);
    for (int i = 0; i < 200; i++)
        submit(waiting, file, i % 5, buffer[7], 1);
    must(syscall(SYS_io_destroy, dropped));
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, wait_for_it, &waited));
    nap_ms(20);
    struct ring before = *(struct ring *)used;
    ready();
    wait_verify();
    expect(((struct ring *)used)->places == before.places && ((struct ring *)used)->head == before.head && ((struct ring *)used)->tail == before.tail);
    for (int i = 0; i < 5; i++) {
        take(used, i, 3);
        expect(memcmp(buffer[i], &"0123456789"[i], 3) == 0);
    }
    nothing(used);
    for (int i = 0; i < 200; i++)
        take(waiting, i % 5, 1);
    nothing(waiting);
    aio_context_t all[] = {fresh, used, waiting};
    for (int i = 0; i < 600; i++) {
        submit(all[i % 3], file, 4, buffer[i % 8], 1);
        take(all[i % 3], 4, 1);
        expect_equal(buffer[i % 8][0], '4');
    }
    submit(waited, file, 1, buffer[6], 1);
    must_zero(pthread_join(thread, NULL));
    for (int i = 0; i < 3; i++)
        must(syscall(SYS_io_destroy, all[i]));
    expect(syscall(SYS_io_destroy, used) == -1 && errno == EINVAL);
    ok();
}
