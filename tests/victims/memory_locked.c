// Locked memory: mlock, mlock on fault, and mlockall for what comes.
#include "victim.h"

static long locked_kib(void)
{
    char *text = read_all("/proc/self/status", NULL);
    long value = atol(strstr(text, "VmLck:") + 6);
    free(text);
    return value;
}

int main(void)
{
    char *memory = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED);
    must(mlock(memory, 8 * 4096));
    fill(memory, 8 * 4096, 1);
    must(mlock2(memory + 32 * 4096, 16 * 4096, MLOCK_ONFAULT));
    fill(memory + 32 * 4096, 4096, 2);
    must(mlockall(MCL_FUTURE | MCL_ONFAULT));
    char *later = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(later != MAP_FAILED);
    long before = locked_kib();
    ready();
    wait_verify();
    long after = locked_kib();
    if (after < before || after > before + 256)
        fail("%ld KiB are locked, %ld were", after, before);
    expect(filled(memory, 8 * 4096, 1) && filled(memory + 32 * 4096, 4096, 2));
    // What is mapped now is locked, too.
    before = locked_kib();
    expect(mmap(NULL, 40 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    expect_equal(locked_kib() - before, 160);
    ok();
}
