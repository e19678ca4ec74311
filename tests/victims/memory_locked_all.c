// mlockall(MCL_CURRENT) with a mapping that can't be touched: locked all the same, as mlock only complains about it.
#include "victim.h"

int main(void)
{
    char *memory = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *guard = mmap(NULL, 4 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED && guard != MAP_FAILED);
    fill(memory, 4 * 4096, 1);
    if (mlockall(MCL_CURRENT) != 0)
        expect_equal(errno, ENOMEM);
    ready();
    wait_verify();
    expect(filled(memory, 4 * 4096, 1));
    ok();
}
