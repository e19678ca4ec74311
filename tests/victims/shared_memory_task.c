// A process that shares the memory of another without being its thread (CLONE_VM without CLONE_THREAD).
#include "victim.h"

static volatile int value, go;
static char stack[65536];

static int child(void *argument)
{
    while (!go)
        usleep(2000);
    value = *(int *)argument;
    return 0;
}

int main(void)
{
    static int wanted = 4711;
    pid_t pid = must(clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD, &wanted));
    nap_ms(10);
    ready();
    wait_verify();
    go = 1;
    reap_success(pid);
    expect_equal(value, 4711);
    ok();
}
