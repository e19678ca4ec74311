// Two children that share their working directory and descriptors with each other, and not with their parent.
#include "victim.h"

static char stack[64 * 1024] __attribute__((aligned(64)));
static atomic_int *phase;
static pid_t *second;

static int run_second(void *unused)
{
    (void)unused;
    while (atomic_load(&phase[0]) < 1)
        nap_ms(2);
    must(chdir("down"));
    must(dup2(1, 50));
    atomic_store(&phase[0], 2);
    while (atomic_load(&phase[0]) < 3)
        nap_ms(2);
    return 22;
}

int main(void)
{
    phase = shared_memory(4096);
    second = (pid_t *)(phase + 16);
    mkdir("down", 0777);
    pid_t first = must(fork());
    if (first == 0) {
        *second = must(clone(run_second, stack + sizeof stack, CLONE_FS | CLONE_FILES | CLONE_PARENT, NULL));
        atomic_store(&phase[1], 1);
        while (atomic_load(&phase[0]) < 2)
            nap_ms(2);
        must(fcntl(50, F_GETFD));
        char where[PATH_MAX];
        expect(getcwd(where, sizeof where) != NULL);
        expect(strcmp(strrchr(where, '/'), "/down") == 0);
        atomic_store(&phase[0], 3);
        _exit(21);
    }
    while (atomic_load(&phase[1]) == 0)
        nap_ms(1);
    ready();
    wait_verify();
    atomic_store(&phase[0], 1);
    int status;
    expect_equal(must(waitpid(first, &status, 0)), first);
    expect_equal(status, 21 << 8);
    expect_equal(must(waitpid(*second, &status, 0)), *second);
    expect_equal(status, 22 << 8);
    expect_equal(fcntl(50, F_GETFD), -1);
    expect(access("verify", F_OK) == 0);
    ok();
}
