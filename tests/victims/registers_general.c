// All general registers, the red zone below the stack pointer and the GS base of a thread in a loop without calls.
#include "victim.h"
#include <asm/prctl.h>

static volatile int go;
static atomic_int started;
static uint64_t gs_words[2] = {0x1122334455667788ULL, 0x99aabbccddeeff00ULL};

// Two copies of the loop: rbx, rbp, r8 to r15 and the red zone are filled, watched and compared.
static uint64_t spin(volatile int *flag)
{
    uint64_t wrong;
    asm volatile(
        "push %%rbx\n push %%rbp\n"
        "mov $0x101010101010101, %%rbx\n mov $0x202020202020202, %%rbp\n mov $0x303030303030303, %%rsi\n"
        "mov $0x808080808080808, %%r8\n mov $0x909090909090909, %%r9\n mov $0xa0a0a0a0a0a0a0a, %%r10\n"
        "mov $0xb0b0b0b0b0b0b0b, %%r11\n mov $0xc0c0c0c0c0c0c0c, %%r12\n mov $0xd0d0d0d0d0d0d0d, %%r13\n"
        "mov $0xe0e0e0e0e0e0e0e, %%r14\n mov $0xf0f0f0f0f0f0f0f, %%r15\n mov $0x404040404040404, %%rdx\n"
        "mov %%rbx, -8(%%rsp)\n mov %%r15, -128(%%rsp)\n"
        "1: pause\n cmpl $0, (%%rdi)\n je 1b\n"
        "xor %%eax, %%eax\n"
        "mov $0x101010101010101, %%rcx\n cmp %%rcx, %%rbx\n jne 2f\n inc %%eax\n"
        "cmp %%rcx, -8(%%rsp)\n jne 2f\n inc %%eax\n"
        "add %%rcx, %%rcx\n cmp %%rcx, %%rbp\n jne 2f\n inc %%eax\n"
        "mov $0x303030303030303, %%rcx\n cmp %%rcx, %%rsi\n jne 2f\n inc %%eax\n"
        "mov $0x404040404040404, %%rcx\n cmp %%rcx, %%rdx\n jne 2f\n inc %%eax\n"
        "mov $0x808080808080808, %%rcx\n cmp %%rcx, %%r8\n jne 2f\n inc %%eax\n"
        "mov $0x909090909090909, %%rcx\n cmp %%rcx, %%r9\n jne 2f\n inc %%eax\n"
        "mov $0xa0a0a0a0a0a0a0a, %%rcx\n cmp %%rcx, %%r10\n jne 2f\n inc %%eax\n"
        "mov $0xb0b0b0b0b0b0b0b, %%rcx\n cmp %%rcx, %%r11\n jne 2f\n inc %%eax\n"
        "mov $0xc0c0c0c0c0c0c0c, %%rcx\n cmp %%rcx, %%r12\n jne 2f\n inc %%eax\n"
        "mov $0xd0d0d0d0d0d0d0d, %%rcx\n cmp %%rcx, %%r13\n jne 2f\n inc %%eax\n"
        "mov $0xe0e0e0e0e0e0e0e, %%rcx\n cmp %%rcx, %%r14\n jne 2f\n inc %%eax\n"
        "mov $0xf0f0f0f0f0f0f0f, %%rcx\n cmp %%rcx, %%r15\n jne 2f\n inc %%eax\n"
        "cmp %%rcx, -128(%%rsp)\n jne 2f\n inc %%eax\n"
        "2: pop %%rbp\n pop %%rbx\n"
        : "=a"(wrong)
        : "D"(flag)
        : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    return wrong;
}

static void *run(void *unused)
{
    must(syscall(SYS_arch_prctl, ARCH_SET_GS, gs_words));
    atomic_fetch_add(&started, 1);
    expect_equal(spin(&go), 14);
    uint64_t low, high;
    asm volatile("mov %%gs:0, %0\n mov %%gs:8, %1" : "=r"(low), "=r"(high));
    expect(low == gs_words[0] && high == gs_words[1]);
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        must_zero(pthread_create(&threads[i], NULL, run, NULL));
    while (atomic_load(&started) < 2)
        nap_ms(1);
    nap_ms(5);
    ready();
    wait_verify();
    go = 1;
    for (int i = 0; i < 2; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
