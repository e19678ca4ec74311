# AVX work with the contents of the registers verified: two threads keep a computation in every vector register of this
# CPU (with AVX-512 also its mask registers), never spill it, undo it again, and look whether they come out where they began.
needs=gcc
prepare() {
    cat >avx.c <<'END'
#include <fenv.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

/* One round: each register becomes itself plus the next one, as 32-bit lanes; after all rounds the same is undone, from
   the last register to the first, by subtraction. All of it inside one assembler statement, so that the values live in
   the registers, and only there, from its beginning to its end; a register that changed at any moment shows there. */
#define TO(op, r, a, b) op " %%" r #b ", %%" r #a ", %%" r #a "\n"
#define TO_SSE(op, r, a, b) op " %%" r #b ", %%" r #a "\n"
#define UP16(T, op, r) T(op, r, 0, 1) T(op, r, 1, 2) T(op, r, 2, 3) T(op, r, 3, 4) T(op, r, 4, 5) T(op, r, 5, 6) \
    T(op, r, 6, 7) T(op, r, 7, 8) T(op, r, 8, 9) T(op, r, 9, 10) T(op, r, 10, 11) T(op, r, 11, 12) T(op, r, 12, 13) \
    T(op, r, 13, 14) T(op, r, 14, 15)
#define DOWN16(T, op, r) T(op, r, 14, 15) T(op, r, 13, 14) T(op, r, 12, 13) T(op, r, 11, 12) T(op, r, 10, 11) \
    T(op, r, 9, 10) T(op, r, 8, 9) T(op, r, 7, 8) T(op, r, 6, 7) T(op, r, 5, 6) T(op, r, 4, 5) T(op, r, 3, 4) \
    T(op, r, 2, 3) T(op, r, 1, 2) T(op, r, 0, 1)
#define UP32(T, op, r) UP16(T, op, r) T(op, r, 15, 16) T(op, r, 16, 17) T(op, r, 17, 18) T(op, r, 18, 19) \
    T(op, r, 19, 20) T(op, r, 20, 21) T(op, r, 21, 22) T(op, r, 22, 23) T(op, r, 23, 24) T(op, r, 24, 25) \
    T(op, r, 25, 26) T(op, r, 26, 27) T(op, r, 27, 28) T(op, r, 28, 29) T(op, r, 29, 30) T(op, r, 30, 31)
#define DOWN32(T, op, r) T(op, r, 30, 31) T(op, r, 29, 30) T(op, r, 28, 29) T(op, r, 27, 28) T(op, r, 26, 27) \
    T(op, r, 25, 26) T(op, r, 24, 25) T(op, r, 23, 24) T(op, r, 22, 23) T(op, r, 21, 22) T(op, r, 20, 21) \
    T(op, r, 19, 20) T(op, r, 18, 19) T(op, r, 17, 18) T(op, r, 16, 17) T(op, r, 15, 16) DOWN16(T, op, r)
#define ROUNDS(up, down) "mov %1, %3\n1:\n" up "dec %1\njnz 1b\n2:\n" down "dec %3\njnz 2b\n"
#define MOVE(op, r, n, size) op " " #n "*" #size "(%0), %%" r #n "\n"
#define BACK(op, r, n, size) op " %%" r #n ", " #n "*" #size "(%0)\n"
#define ALL16(M, op, r, s) M(op, r, 0, s) M(op, r, 1, s) M(op, r, 2, s) M(op, r, 3, s) M(op, r, 4, s) M(op, r, 5, s) \
    M(op, r, 6, s) M(op, r, 7, s) M(op, r, 8, s) M(op, r, 9, s) M(op, r, 10, s) M(op, r, 11, s) M(op, r, 12, s) \
    M(op, r, 13, s) M(op, r, 14, s) M(op, r, 15, s)
#define ALL32(M, op, r, s) ALL16(M, op, r, s) M(op, r, 16, s) M(op, r, 17, s) M(op, r, 18, s) M(op, r, 19, s) \
    M(op, r, 20, s) M(op, r, 21, s) M(op, r, 22, s) M(op, r, 23, s) M(op, r, 24, s) M(op, r, 25, s) M(op, r, 26, s) \
    M(op, r, 27, s) M(op, r, 28, s) M(op, r, 29, s) M(op, r, 30, s) M(op, r, 31, s)

struct kind { const char *name; int registers, lanes; void (*run)(uint32_t *, uint64_t, uint64_t *); };

#define OPERANDS(count) : "+r"(v), "+r"(rounds), "+r"(masks), "=&r"(count) : : "memory", "cc"

static void run_sse(uint32_t *v, uint64_t rounds, uint64_t *masks)
{
    uint64_t back;
    __asm__ volatile(ALL16(MOVE, "movdqu", "xmm", 16) ROUNDS(UP16(TO_SSE, "paddd", "xmm"), DOWN16(TO_SSE, "psubd", "xmm"))
        ALL16(BACK, "movdqu", "xmm", 16) OPERANDS(back));
}
static void run_avx2(uint32_t *v, uint64_t rounds, uint64_t *masks)
{
    uint64_t back;
    __asm__ volatile(ALL16(MOVE, "vmovdqu", "ymm", 32) ROUNDS(UP16(TO, "vpaddd", "ymm"), DOWN16(TO, "vpsubd", "ymm"))
        ALL16(BACK, "vmovdqu", "ymm", 32) "vzeroupper\n" OPERANDS(back));
}
static void run_avx512(uint32_t *v, uint64_t rounds, uint64_t *masks)
{
    uint64_t back;
    __asm__ volatile(ALL32(MOVE, "vmovdqu64", "zmm", 64)
        "kmovq 0(%2), %%k1\nkmovq 8(%2), %%k2\nkmovq 16(%2), %%k3\nkmovq 24(%2), %%k4\n"
        "kmovq 32(%2), %%k5\nkmovq 40(%2), %%k6\nkmovq 48(%2), %%k7\n"
        ROUNDS(UP32(TO, "vpaddd", "zmm"), DOWN32(TO, "vpsubd", "zmm"))
        ALL32(BACK, "vmovdqu64", "zmm", 64)
        "kmovq %%k1, 0(%2)\nkmovq %%k2, 8(%2)\nkmovq %%k3, 16(%2)\nkmovq %%k4, 24(%2)\n"
        "kmovq %%k5, 32(%2)\nkmovq %%k6, 40(%2)\nkmovq %%k7, 48(%2)\nvzeroupper\n" OPERANDS(back));
}

static struct kind kind;
static uint64_t rounds;

static void *work(void *argument)
{
    unsigned number = (unsigned)(uintptr_t)argument;
    int count = kind.registers * kind.lanes;
    uint32_t *vector = malloc(count * 4), *expected = malloc(count * 4);
    uint64_t masks[7], before[7];
    fesetround(number ? FE_UPWARD : FE_TOWARDZERO);
    unsigned control = _mm_getcsr();
    uint32_t state = number + 1;
    for (int i = 0; i < count; i++) expected[i] = vector[i] = state = state * 1103515245u + 12345;
    for (int i = 0; i < 7; i++) before[i] = masks[i] = 0x9e3779b97f4a7c15u * (number + i + 1);
    kind.run(vector, rounds, masks);
    int wrong = memcmp(vector, expected, count * 4) != 0;
    printf("%s thread %u: vectors %s, masks %s, rounding %s\n", kind.name, number, wrong ? "WRONG" : "right",
        memcmp(masks, before, sizeof masks) ? "WRONG" : "right", (_mm_getcsr() & ~63u) == (control & ~63u) ? "right" : "WRONG");
    return 0;
}

int main(int argc, char **argv)
{
    rounds = strtoull(argv[argc - 1], 0, 10);
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw")) kind = (struct kind){"AVX-512", 32, 16, run_avx512};
    else if (__builtin_cpu_supports("avx2")) kind = (struct kind){"AVX2", 16, 8, run_avx2};
    else kind = (struct kind){"SSE2", 16, 4, run_sse};
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++) pthread_create(&threads[i], 0, work, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
    return 0;
}
END
    gcc -O2 -Wall -Werror -o avx avx.c -lpthread -lm
}
start() { exec ./avx 200000000; }
check() { cmp <(sort stdout.txt) <(sort ../reference/stdout.txt) && [[ $(grep -c right stdout.txt) -eq 2 ]] && ! grep -q WRONG stdout.txt; }
