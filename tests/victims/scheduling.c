// Nice values, policies and priorities of each thread, affinity, I/O priority.
#include "victim.h"

static atomic_int started;
static atomic_bool go;

struct plan { int policy, priority, nice, io; bool reset; };
static struct plan plans[] = {
    {SCHED_OTHER, 0, 5, (2 << 13) | 6, false},
    {SCHED_BATCH, 0, 7, (3 << 13) | 0, false},
    {SCHED_IDLE, 0, 0, (2 << 13) | 1, false},
    {SCHED_FIFO, 3, 0, 0, false},
    {SCHED_RR, 9, 0, (1 << 13) | 4, true},
    {SCHED_OTHER, 0, -3, 0, true},
};
enum { PLANS = sizeof plans / sizeof *plans };
#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif

static void *run(void *argument)
{
    struct plan *plan = argument;
    struct sched_param parameter = {plan->priority};
    int policy = plan->policy | (plan->reset ? SCHED_RESET_ON_FORK : 0);
    pid_t self = syscall(SYS_gettid);
    // Where real-time or negative nice values are not allowed, the others are still worth a look.
    if (sched_setscheduler(self, policy, &parameter) != 0)
        *plan = (struct plan){SCHED_OTHER, 0, 1, 0, false};
    if (plan->policy == SCHED_OTHER || plan->policy == SCHED_BATCH)
        if (setpriority(PRIO_PROCESS, self, plan->nice) != 0)
            plan->nice = getpriority(PRIO_PROCESS, self);
    if (plan->io && syscall(SYS_ioprio_set, 1, self, plan->io) != 0)
        plan->io = 0;
    cpu_set_t one, now;
    must(sched_getaffinity(0, sizeof now, &now));
    CPU_ZERO(&one);
    for (int i = CPU_SETSIZE - 1, seen = 0; i >= 0; i--)
        if (CPU_ISSET(i, &now) && seen++ == (plan - plans) % 2)
            CPU_SET(i, &one);
    if (CPU_COUNT(&one) == 0)
        one = now;
    must(sched_setaffinity(0, sizeof one, &one));
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&go))
        nap_ms(5);
    long index = plan - plans;
    int policy_now = sched_getscheduler(0);
    must(sched_getparam(0, &parameter));
    int wanted = plan->policy | (plan->reset ? SCHED_RESET_ON_FORK : 0);
    if (policy_now != wanted || parameter.sched_priority != plan->priority)
        fail("thread %ld: policy 0x%x priority %d, was 0x%x %d", index, policy_now, parameter.sched_priority, wanted, plan->priority);
    if (plan->policy == SCHED_OTHER || plan->policy == SCHED_BATCH)
        expect_equal(getpriority(PRIO_PROCESS, self), plan->nice);
    int io = must(syscall(SYS_ioprio_get, 1, self));
    if (plan->io && io != plan->io)
        fail("thread %ld: I/O priority 0x%x, was 0x%x", index, io, plan->io);
    must(sched_getaffinity(0, sizeof now, &now));
    expect(CPU_EQUAL(&now, &one));
    return NULL;
}

int main(void)
{
    pthread_t threads[PLANS];
    for (int i = 0; i < PLANS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, &plans[i]));
    while (atomic_load(&started) < PLANS)
        nap_ms(1);
    ready();
    wait_verify();
    atomic_store(&go, true);
    for (int i = 0; i < PLANS; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
