// Every protection, content behind protections that forbid reading it, and that a fault still comes where it came.
#include "victim.h"
#include <setjmp.h>

static sigjmp_buf back;
static void on_fault(int number) { siglongjmp(back, number); }

static bool faults(volatile char *address, bool writing)
{
    if (sigsetjmp(back, 1))
        return true;
    if (writing)
        *address = *address;
    else
        (void)*address;
    return false;
}

int main(void)
{
    static const int kinds[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
                                PROT_READ | PROT_WRITE | PROT_EXEC, PROT_WRITE, PROT_EXEC};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    char *memory = mmap(NULL, 4 * KINDS * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED);
    for (int i = 0; i < KINDS; i++) {
        fill(memory + i * 4 * 4096, 2 * 4096, i);
        must(mprotect(memory + i * 4 * 4096, 3 * 4096, kinds[i]));
    }
    char *reserved = mmap(NULL, 1L << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    expect(reserved != MAP_FAILED);
    must(mprotect(reserved + (1L << 39), 4096, PROT_READ | PROT_WRITE));
    fill(reserved + (1L << 39), 4096, 99);
    // A function that was written into memory at run time: returns 42.
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
    char *jit = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(jit, code, sizeof code);
    must(mprotect(jit, 4096, PROT_READ | PROT_EXEC));
    ready();
    wait_verify();
    must(sigaction(SIGSEGV, &(struct sigaction){.sa_handler = on_fault}, NULL));
    expect_equal(((int (*)(void))jit)(), 42);
    expect(faults(reserved, false) && faults(reserved + (1L << 39) + 4096, false));
    expect(filled(reserved + (1L << 39), 4096, 99));
    for (int i = 0; i < KINDS; i++) {
        char *here = memory + i * 4 * 4096;
        // On x86 what can be written can be read; PROT_EXEC alone can be read where there are no protection keys.
        if (i == 0)
            expect(faults(here, false));
        if (i != 6 && i != 0)
            expect(!faults(here, false));
        expect(faults(here, true) == !(kinds[i] & PROT_WRITE));
        must(mprotect(here, 3 * 4096, PROT_READ | PROT_WRITE));
        if (!filled(here, 2 * 4096, i))
            fail("the content behind protection %d is not what it was", kinds[i]);
        expect(here[2 * 4096] == 0 && here[3 * 4096 - 1] == 0);
    }
    ok();
}
