// Settings that prctl and its relatives can read back, of the process and of a thread: memory that is never writable and
// executable, merging of equal pages, chosen timer ids, machine checks, speculation, NUMA policy, rdtsc and cpuid that
// fault, a deadline, a personality, the slots of the futex table, the nice value of the autogroup. What this kernel or cage does not allow stays as it is.
#include "victim.h"
#include <linux/mempolicy.h>
#include <sys/personality.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif
enum { TIMER_IDS = 77, FUTEX_HASH = 78, SLOTS_SET = 1, SLOTS_GET = 2, CPUID_GET = 0x1011, CPUID_SET = 0x1012, SPECULATIONS = 3 };

struct attributes { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; uint32_t low, high; };

struct seen {
    int tsc, mce, flusher, speculation[SPECULATIONS], mode, cpuid, personality;
    unsigned long nodes[16];
    struct attributes scheduling;
};

static atomic_int phase;

static struct seen look(void)
{
    struct seen now = {0};
    must(prctl(PR_GET_TSC, &now.tsc));
    now.mce = must(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    now.flusher = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0);
    for (int i = 0; i < SPECULATIONS; i++)
        now.speculation[i] = prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0);
    syscall(SYS_get_mempolicy, &now.mode, now.nodes, sizeof now.nodes * 8, 0, 0);
    now.cpuid = syscall(SYS_arch_prctl, CPUID_GET, 0);
    now.personality = must(personality(0xffffffff));
    must(syscall(SYS_sched_getattr, 0, &now.scheduling, sizeof now.scheduling, 0));
    return now;
}

static void *run(void *unused)
{
    unsigned long first = 1;
    struct attributes deadline = {sizeof deadline, 6, 1 | 2, 0, 0, 2000000, 50000000, 50000000, 0, 0};
    must(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
    must(personality(PER_LINUX32 | WHOLE_SECONDS));
    must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
    prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    for (int i = 0; i < SPECULATIONS; i++)
        prctl(PR_SET_SPECULATION_CTRL, i, PR_SPEC_DISABLE, 0, 0);
    syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_STATIC_NODES, &first, 8);
    syscall(SYS_arch_prctl, CPUID_SET, 0);
    if (syscall(SYS_sched_setattr, 0, &deadline, 0) != 0)
        setpriority(PRIO_PROCESS, syscall(SYS_gettid), 3);
    struct seen before = look();
    atomic_store(&phase, 1);
    while (atomic_load(&phase) == 1)
        nap_ms(2);
    struct seen after = look();
    expect_equal(after.tsc, PR_TSC_SIGSEGV);
    expect_equal(after.personality, PER_LINUX32 | WHOLE_SECONDS);
    expect_equal(after.mce, PR_MCE_KILL_EARLY);
    if (memcmp(&before, &after, sizeof before) != 0)
        fail("flusher %d %d, speculation %d %d %d, %d %d %d, policy %d %d, nodes %lx %lx, cpuid %d %d, scheduling %u %lx, %u %lx",
             before.flusher, after.flusher, before.speculation[0], before.speculation[1], before.speculation[2], after.speculation[0],
             after.speculation[1], after.speculation[2], before.mode, after.mode, before.nodes[0], after.nodes[0], before.cpuid, after.cpuid,
             before.scheduling.policy, (long)before.scheduling.flags, after.scheduling.policy, (long)after.scheduling.flags);
    return unused;
}

static char *autogroup(void)
{
    int fd = open("/proc/self/autogroup", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return "";
    close(fd);
    return strchr(read_all("/proc/self/autogroup", NULL), ' ');
}

int main(void)
{
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, run, NULL));
    while (atomic_load(&phase) == 0)
        nap_ms(1);
    prctl(PR_SET_MDWE, 1, 0, 0, 0);
    prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
    prctl(TIMER_IDS, 1, 0, 0, 0);
    prctl(FUTEX_HASH, SLOTS_SET, 0, 0, 0);
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        must(write(fd, "7", 1));
        close(fd);
    }
    char *group = autogroup();
    int denial = prctl(PR_GET_MDWE, 0, 0, 0, 0), merge = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), ids = prctl(TIMER_IDS, 2, 0, 0, 0),
        slots = prctl(FUTEX_HASH, SLOTS_GET, 0, 0, 0);
    struct seen before = look();
    ready();
    wait_verify();
    struct seen after = look();
    atomic_store(&phase, 2);
    must_zero(pthread_join(thread, NULL));
    expect(memcmp(&before, &after, sizeof before) == 0);
    expect_equal(prctl(PR_GET_MDWE, 0, 0, 0, 0), denial);
    expect_equal(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), merge);
    expect_equal(prctl(TIMER_IDS, 2, 0, 0, 0), ids);
    expect_equal(prctl(FUTEX_HASH, SLOTS_GET, 0, 0, 0), slots);
    expect(strcmp(autogroup(), group) == 0);
    void *both = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect_equal(both == MAP_FAILED, denial == 1);
    ok();
}
