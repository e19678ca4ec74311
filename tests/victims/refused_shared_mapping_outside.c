// refused: shared|outside
// Anonymous shared memory that a process outside of the tree has, too.
#include "victim.h"

static char *memory;

static void have(void)
{
    fill(memory, 4096, 1);
}

int main(void)
{
    memory = shared_memory(8192);
    outside(have);
    fill(memory + 4096, 4096, 2);
    ready();
    wait_verify();
    expect(filled(memory, 4096, 1) && filled(memory + 4096, 4096, 2));
    ok();
}
