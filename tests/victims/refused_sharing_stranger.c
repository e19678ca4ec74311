// refused: neither its parent nor its sibling
// A process that shares its working directory with its grandparent, and with nobody nearer.
#include "victim.h"

static char stack[64 * 1024] __attribute__((aligned(64)));

static int grandchild(void *unused)
{
    (void)unused;
    for (;;)
        nap_ms(10);
    return 0;
}

static int child(void *started)
{
    static char below[64 * 1024] __attribute__((aligned(64)));
    must(clone(grandchild, below + sizeof below, CLONE_FS | SIGCHLD, NULL));
    must(syscall(SYS_unshare, CLONE_FS));
    atomic_store((atomic_int *)started, 1);
    wait_verify();
    _exit(0);
}

int main(void)
{
    atomic_int *started = shared_memory(sizeof *started);
    pid_t pid = must(clone(child, stack + sizeof stack, CLONE_FS | SIGCHLD, started));
    while (atomic_load(started) == 0)
        nap_ms(1);
    ready();
    wait_verify();
    reap_success(pid);
    ok();
}
