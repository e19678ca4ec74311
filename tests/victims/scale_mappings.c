// scale: 50,000 mappings
#include "victim.h"

int main(void)
{
    // The kernel's limit is vm.max_map_count, 65530 unless somebody raised it.
    enum { COUNT = 50000 };
    char *base = mmap((void *)0x200000000000, COUNT * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(base == (void *)0x200000000000);
    for (long i = 0; i < COUNT; i++)
        *(long *)(base + i * 4096) = i;
    for (long i = 0; i < COUNT; i += 2)
        must(mprotect(base + i * 4096, 4096, PROT_READ));
    ready();
    wait_verify();
    for (long i = 0; i < COUNT; i++)
        expect_equal(*(long *)(base + i * 4096), i);
    for (long i = 1; i < COUNT; i += 2)
        *(long *)(base + i * 4096) = 0;
    ok();
}
