// Stacks that grow: the main one, and a mapping made with MAP_GROWSDOWN; and the heap's end, moved by brk.
#include "victim.h"

static int deep(int level)
{
    volatile char block[4096];
    block[0] = (char)level;
    block[4095] = (char)level;
    int below = level > 0 ? deep(level - 1) : 0;
    return below + (block[0] == (char)level && block[4095] == (char)level);
}

int main(void)
{
    char *break_before = sbrk(10000);
    fill(break_before, 10000 & ~7, 1);
    char *middle = sbrk(0);
    // Where nothing is near below.
    char *stack = mmap((void *)0x300000000000, 4 * 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK | MAP_FIXED_NOREPLACE, -1, 0);
    expect(stack == (void *)0x300000000000);
    fill(stack, 4 * 4096, 2);
    // Grows by touching what is just below.
    for (int i = 1; i <= 4; i++)
        fill(stack - i * 4096, 4096, 10 + i);
    deep(20);
    ready();
    wait_verify();
    expect(filled(stack, 4 * 4096, 2));
    for (int i = 1; i <= 4; i++)
        expect(filled(stack - i * 4096, 4096, 10 + i));
    for (int i = 5; i <= 12; i++)
        fill(stack - i * 4096, 4096, 10 + i);
    expect(filled(stack - 12 * 4096, 4096, 22));
    expect_equal(deep(500), 501);
    expect(filled(break_before, 10000 & ~7, 1));
    expect(sbrk(0) == middle);
    expect(sbrk(1 << 20) == middle);
    fill(middle, 1 << 20, 3);
    expect(filled(middle, 1 << 20, 3) && filled(break_before, 10000 & ~7, 1));
    must(brk(middle));
    expect(sbrk(0) == middle);
    ok();
}
