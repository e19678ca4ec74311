// A thread with matrices in its tile registers (AMX). Its state takes 11 KiB, of which every other thread uses but the first 3.
#include "victim.h"
#include <cpuid.h>

enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18, TILES = 8, ROWS = 16, ROW = 64 };

static atomic_int started;
static volatile int go;
static _Alignas(64) unsigned char in[TILES][ROWS * ROW], out[TILES][ROWS * ROW];

static bool has_tiles(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) != 0;
}

#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)
#define LOAD(n) "tileloadd (%[in], %[row]), %%tmm" #n "\n add $1024, %[in]\n"
#define SAVE(n) "tilestored %%tmm" #n ", (%[out], %[row])\n add $1024, %[out]\n"

static void *run(void *unused)
{
    (void)unused;
    // Palette 1: eight tiles of 16 rows of 64 bytes (Intel SDM volume 1, 18.2).
    static _Alignas(64) struct { unsigned char palette, start, reserved[14]; unsigned short bytes[16]; unsigned char rows[16]; } shape = {.palette = 1};
    for (int i = 0; i < TILES; i++) {
        shape.bytes[i] = ROW;
        shape.rows[i] = ROWS;
    }
    for (int i = 0; i < TILES; i++)
        fill(in[i], sizeof in[i], i + 1);
    atomic_fetch_add(&started, 1);
    void *from = in, *to = out;
    asm volatile("ldtilecfg %[shape]\n" EACH(LOAD) "1: pause\n cmpl $0, %[flag]\n je 1b\n" EACH(SAVE) "tilerelease\n"
                 : [in] "+r"(from), [out] "+r"(to)
                 : [shape] "m"(shape), [row] "r"((long)ROW), [flag] "m"(go)
                 : "memory", "cc");
    expect(memcmp(in, out, sizeof in) == 0);
    return NULL;
}

int main(void)
{
    if (!has_tiles() || syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) != 0)
        skip("no AMX here");
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, run, NULL));
    while (atomic_load(&started) == 0)
        nap_ms(1);
    nap_ms(10);
    ready();
    wait_verify();
    go = 1;
    must_zero(pthread_join(thread, NULL));
    ok();
}
