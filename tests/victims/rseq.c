// The restartable-sequences area of each thread stays registered: the kernel still writes the CPU number into it.
#include "victim.h"
#include <linux/rseq.h>
#include <stddef.h>

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));
static atomic_int started;
static atomic_bool go;

static volatile struct rseq *area(void)
{
    char *self;
    asm("mov %%fs:0, %0" : "=r"(self));
    return (volatile struct rseq *)(self + __rseq_offset);
}

static void look(void)
{
    cpu_set_t all, one;
    must(sched_getaffinity(0, sizeof all, &all));
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        must(sched_setaffinity(0, sizeof one, &one));
        nap_ms(1);
        unsigned cpu;
        must(syscall(SYS_getcpu, &cpu, NULL, NULL));
        expect_equal(cpu, i);
        expect_equal(area()->cpu_id, i);
        expect_equal(area()->cpu_id_start, i);
    }
    must(sched_setaffinity(0, sizeof all, &all));
    // Registered means: a second registration elsewhere is refused.
    static _Alignas(32) struct rseq other;
    expect(syscall(SYS_rseq, &other, sizeof other, 0, 0x53053053) == -1 && (errno == EINVAL || errno == EBUSY || errno == EPERM));
}

static void *run(void *unused)
{
    look();
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&go))
        nap_ms(5);
    look();
    return unused;
}

int main(void)
{
    pthread_t threads[3];
    // Without support of libc or kernel there is nothing to check.
    bool supported = &__rseq_size != NULL && __rseq_size != 0;
    for (int i = 0; supported && i < 3; i++)
        must_zero(pthread_create(&threads[i], NULL, run, NULL));
    while (supported && atomic_load(&started) < 3)
        nap_ms(1);
    ready();
    wait_verify();
    atomic_store(&go, true);
    for (int i = 0; supported && i < 3; i++)
        must_zero(pthread_join(threads[i], NULL));
    if (supported)
        look();
    ok();
}
