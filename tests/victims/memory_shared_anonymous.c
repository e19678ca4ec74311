// Anonymous shared memory is one piece for all who map it: whole, in part, twice at two addresses, or only by a child.
#include "victim.h"

enum { SIZE = 64 * 4096 };

struct board { atomic_int go, answers; };

static void child(struct board *board, char *memory, int number)
{
    // The second child maps only the upper half, and that somewhere else.
    char *view = memory;
    if (number == 1) {
        view = mremap(memory + SIZE / 2, SIZE / 2, SIZE / 2, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x500000000000);
        expect(view != MAP_FAILED);
        must(munmap(memory, SIZE / 2));
        view -= SIZE / 2;
    }
    atomic_fetch_add(&board->answers, 1);
    while (!atomic_load(&board->go))
        nap_ms(5);
    char *mine = view + SIZE / 2 + 8192 * (number + 1);
    expect(filled(view + SIZE / 2 + 4096, 4096, 7));
    fill(mine, 4096, 50 + number);
    atomic_fetch_add(&board->answers, 1);
    _exit(0);
}

int main(void)
{
    struct board *board = shared_memory(4096);
    char *memory = shared_memory(SIZE);
    fill(memory, SIZE / 4, 6);
    fill(memory + SIZE / 2 + 4096, 4096, 7);
    pid_t children[2];
    for (int i = 0; i < 2; i++)
        if ((children[i] = must(fork())) == 0)
            child(board, memory, i);
    // A second view of the same pages in this process: mremap with an old size of 0 duplicates a shared mapping.
    char *twin = mremap(memory, 0, SIZE, MREMAP_MAYMOVE);
    expect(twin != MAP_FAILED && twin != memory);
    while (atomic_load(&board->answers) < 2)
        nap_ms(2);
    ready();
    wait_verify();

    expect(filled(memory, SIZE / 4, 6) && filled(twin, SIZE / 4, 6));
    for (int i = SIZE / 4; i < SIZE / 2; i++)
        expect(memory[i] == 0);
    atomic_store(&board->go, 1);
    for (int i = 0; i < 2; i++)
        reap_success(children[i]);
    expect_equal(atomic_load(&board->answers), 4);
    for (int i = 0; i < 2; i++)
        expect(filled(twin + SIZE / 2 + 8192 * (i + 1), 4096, 50 + i));
    twin[123] = 77;
    expect_equal(memory[123], 77);
    ok();
}
