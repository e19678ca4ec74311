// The main thread has ended while others go on: its id stays taken, the process lives.
#include "victim.h"

static __thread int number_here;
static atomic_int started;

static void *run(void *argument)
{
    number_here = (int)(long)argument;
    atomic_fetch_add(&started, 1);
    if (number_here == 1) {
        while (atomic_load(&started) < 2)
            nap_ms(1);
        await_end(getpid());
        ready();
        wait_verify();
        expect_equal(number_here, 1);
        expect(syscall(SYS_gettid) != getpid());
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task/%d/stat", getpid(), getpid());
        char *text = read_all(path, NULL);
        expect_equal(strrchr(text, ')')[2], 'Z');
        ok();
    }
    for (;;)
        nap_ms(10);
    return NULL;
}

int main(void)
{
    for (long i = 1; i <= 2; i++) {
        pthread_t thread;
        must_zero(pthread_create(&thread, NULL, run, (void *)i));
    }
    syscall(SYS_exit, 0);
}
