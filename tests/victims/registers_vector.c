// Vector registers of several threads hold their content while nothing but a loop over a flag runs; so do MXCSR, the
// x87 control word and the x87 stack.
#include "victim.h"
#include <cpuid.h>

enum { THREADS = 3 };

static atomic_int started;
static volatile int go;

static int level(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return 3;
    return __builtin_cpu_supports("avx") ? 2 : 1;
}

#define EACH16(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define UPPER16(op) op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26) op(27) op(28) op(29) op(30) op(31)
#define OFFSET(n, width) #n "*" #width "(%[base])"
#define LOAD_X(n) "movups " #n "*16(%[in]), %%xmm" #n "\n"
#define SAVE_X(n) "movups %%xmm" #n ", " #n "*16(%[out])\n"
#define LOAD_Y(n) "vmovups " #n "*32(%[in]), %%ymm" #n "\n"
#define SAVE_Y(n) "vmovups %%ymm" #n ", " #n "*32(%[out])\n"
#define LOAD_Z(n) "vmovups " #n "*64(%[in]), %%zmm" #n "\n"
#define SAVE_Z(n) "vmovups %%zmm" #n ", " #n "*64(%[out])\n"
#define LOOP "1: pause\n cmpl $0, %[flag]\n je 1b\n"
#define CLOBBERS "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
                 "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

static void spin_sse(const void *in, void *out)
{
    asm volatile(EACH16(LOAD_X) LOOP EACH16(SAVE_X) : : [in] "r"(in), [out] "r"(out), [flag] "m"(go) : CLOBBERS);
}

__attribute__((target("avx"))) static void spin_avx(const void *in, void *out)
{
    asm volatile(EACH16(LOAD_Y) LOOP EACH16(SAVE_Y) "vzeroupper\n"
                 : : [in] "r"(in), [out] "r"(out), [flag] "m"(go) : CLOBBERS);
}

__attribute__((target("avx512f"))) static void spin_avx512(const void *in, void *out)
{
    asm volatile("kmovw 2048(%[in]), %%k1\n kmovw 2050(%[in]), %%k7\n" EACH16(LOAD_Z) UPPER16(LOAD_Z) LOOP
                 EACH16(SAVE_Z) UPPER16(SAVE_Z) "kmovw %%k1, 2048(%[out])\n kmovw %%k7, 2050(%[out])\n vzeroupper\n"
                 : : [in] "r"(in), [out] "r"(out), [flag] "m"(go)
                 : CLOBBERS, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
                   "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k7");
}

static void *run(void *argument)
{
    long number = (long)argument;
    // Without a system call in the loop: the registers are live when the thread is stopped by an interrupt.
    static _Alignas(64) uint64_t in[THREADS][264], out[THREADS][264];
    int kind = level();
    size_t bytes = kind == 3 ? 2048 + 4 : kind == 2 ? 512 : 256;
    for (int i = 0; i < 264; i++)
        in[number][i] = mix(number * 1000 + i);

    // Rounding toward zero in both units, a different one for each thread, and two values on the x87 stack.
    unsigned mxcsr = 0x1f80 | (unsigned)number << 13, mxcsr_after;
    unsigned short control = 0x037f | (unsigned short)(number << 10), control_after;
    double one = 1.5 + number, two = 2.25 * number, one_after, two_after;
    asm volatile("ldmxcsr %0\n fldcw %1\n fldl %2\n fldl %3" : : "m"(mxcsr), "m"(control), "m"(one), "m"(two));
    atomic_fetch_add(&started, 1);
    if (kind == 3)
        spin_avx512(in[number], out[number]);
    else if (kind == 2)
        spin_avx(in[number], out[number]);
    else
        spin_sse(in[number], out[number]);
    asm volatile("fstpl %0\n fstpl %1\n stmxcsr %2\n fnstcw %3"
                 : "=m"(two_after), "=m"(one_after), "=m"(mxcsr_after), "=m"(control_after));
    unsigned clean = 0x1f80;
    asm volatile("ldmxcsr %0\n fninit" : : "m"(clean));
    expect_equal(mxcsr_after, mxcsr);
    expect_equal(control_after, control);
    expect(one_after == one && two_after == two);
    for (size_t i = 0; i < bytes; i++)
        if (((unsigned char *)in[number])[i] != ((unsigned char *)out[number])[i])
            fail("thread %ld: byte %zu of %zu of the vector registers differs (level %d)", number, i, bytes, kind);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    while (atomic_load(&started) < THREADS)
        nap_ms(1);
    nap_ms(10);
    ready();
    wait_verify();
    go = 1;
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
