// NUMA policies of single mappings (mbind): every mode and flag, of private and of shared memory, a part of a mapping, and a policy that two processes
// see as it is the memory's own.
#include "victim.h"
#include <linux/mempolicy.h>

#ifndef MPOL_WEIGHTED_INTERLEAVE
#define MPOL_WEIGHTED_INTERLEAVE 6
#endif
enum { PAGE = 4096, MODES = 11 };

static const struct {
    int mode;
    unsigned long nodes;
} policies[MODES] = {
    {MPOL_PREFERRED, 1}, {MPOL_BIND, 1}, {MPOL_INTERLEAVE, 1}, {MPOL_LOCAL, 0}, {MPOL_PREFERRED_MANY, 1}, {MPOL_WEIGHTED_INTERLEAVE, 1},
    {MPOL_BIND | MPOL_F_STATIC_NODES, 3}, {MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES, 6}, {MPOL_BIND | MPOL_F_NUMA_BALANCING, 1},
    {MPOL_PREFERRED | MPOL_F_STATIC_NODES, 1}, {MPOL_DEFAULT, 0},
};

struct told {
    int mode;
    unsigned long nodes[16];
};

static struct told policy_of(const void *address)
{
    struct told told = {-1, {0}};
    must(syscall(SYS_get_mempolicy, &told.mode, told.nodes, 1024, address, MPOL_F_ADDR));
    return told;
}

static void bind_to(void *address, int which)
{
    if (syscall(SYS_mbind, address, PAGE, policies[which].mode, policies[which].nodes ? &policies[which].nodes : NULL, 65, 0) != 0 && errno != EINVAL)
        fail("mbind: %s", strerror(errno)); // EINVAL: a mode that this kernel does not know
}

int main(void)
{
    struct told before[2 * MODES], first_half, second_half;
    char *private = mmap(NULL, 2 * MODES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (syscall(SYS_mbind, private, PAGE, MPOL_BIND, &policies[1].nodes, 65, 0) != 0)
        skip("this kernel has no memory policies");
    for (int i = 0; i < MODES; i++) {
        bind_to(private + 2 * i * PAGE, i);
        fill(private + 2 * i * PAGE, PAGE, i);
    }
    for (int i = 0; i < 2 * MODES; i++)
        before[i] = policy_of(private + i * PAGE);
    // Not written yet, read only.
    char *untouched = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bind_to(untouched, 2);
    // Of shared memory, and seen by the child in whose mapping nothing was cut.
    char *shared = shared_memory(4 * PAGE);
    atomic_int *go = (atomic_int *)shared_memory(PAGE);
    pid_t pid = must(fork());
    if (pid == 0) {
        while (!atomic_load(go))
            nap_ms(3);
        for (int i = 0; i < 4; i++)
            expect_equal(policy_of(shared + i * PAGE).mode, i == 1 ? MPOL_INTERLEAVE : i == 2 ? MPOL_BIND : MPOL_DEFAULT);
        _exit(0);
    }
    bind_to(shared + PAGE, 2);
    bind_to(shared + 2 * PAGE, 1);
    first_half = policy_of(shared + PAGE), second_half = policy_of(shared + 2 * PAGE);
    int memfd = must(memfd_create("bound", MFD_CLOEXEC));
    must(ftruncate(memfd, 2 * PAGE));
    char *file = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    expect(file != MAP_FAILED);
    bind_to(file + PAGE, 2);
    ready();
    wait_verify();
    for (int i = 0; i < 2 * MODES; i++) {
        struct told now = policy_of(private + i * PAGE);
        if (memcmp(&now, &before[i], sizeof now) != 0)
            fail("policy of page %d is 0x%x nodes 0x%lx, was 0x%x nodes 0x%lx", i, now.mode, now.nodes[0], before[i].mode, before[i].nodes[0]);
    }
    for (int i = 0; i < MODES; i++)
        expect(filled(private + 2 * i * PAGE, PAGE, i));
    expect_equal(policy_of(untouched).mode, MPOL_INTERLEAVE);
    struct told now = policy_of(shared + PAGE);
    expect(memcmp(&now, &first_half, sizeof now) == 0);
    now = policy_of(shared + 2 * PAGE);
    expect(memcmp(&now, &second_half, sizeof now) == 0);
    expect_equal(policy_of(shared).mode, MPOL_DEFAULT);
    expect_equal(policy_of(shared + 3 * PAGE).mode, MPOL_DEFAULT);
    expect_equal(policy_of(file).mode, MPOL_DEFAULT);
    expect_equal(policy_of(file + PAGE).mode, MPOL_INTERLEAVE);
    atomic_store(go, 1);
    reap_success(pid);
    ok();
}
