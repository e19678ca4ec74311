// Workers forked from a parent with much memory, each of which has written some of it: pages in common, pages of their own, of the parent's written
// since, in mappings that one of them has cut, moved or given up; and a grandchild.
#include "victim.h"

enum { PAGE = 4096, PAGES = 2048, WORKERS = 6 };

static uint64_t seed_of(int who, int page) { return who * 1000003ULL + page; }

// Which process wrote a page last, as `who` sees it: 0 is what was there before the forks, 99 what the parent wrote since.
static int writer(int who, int page)
{
    if (who == WORKERS && page % 7 == 3)
        return WORKERS;
    if (who == WORKERS)
        who = 1; // the grandchild has the rest from the first worker
    return page % 10 == who % 10 ? who : who == 99 || page % 50 != 0 ? (who == 99 && page % 9 == 0 ? 99 : 0) : 0;
}

static void check(const char *memory, int who)
{
    for (int i = 0; i < PAGES; i++)
        if (!filled(memory + i * PAGE, PAGE, seed_of(writer(who, i), i)))
            fail("page %d is not as process %d had it", i, who);
}

static void write_own(char *memory, int who)
{
    for (int i = 0; i < PAGES; i++)
        if (writer(who, i) == who)
            fill(memory + i * PAGE, PAGE, seed_of(who, i));
}

int main(void)
{
    struct { atomic_int set, go; } *board = shared_memory(PAGE);
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < PAGES; i++)
        fill(memory + i * PAGE, PAGE, seed_of(0, i));
    pid_t workers[WORKERS];
    for (int who = 1; who < WORKERS; who++) {
        workers[who] = must(fork());
        if (workers[who] != 0)
            continue;
        char *mine = memory;
        pid_t child = 0;
        write_own(mine, who);
        if (who == 1 && (child = must(fork())) == 0)
            write_own(mine, WORKERS);
        if (who == 2) { // cut in two
            must(mprotect(mine + 100 * PAGE, 5 * PAGE, PROT_READ));
        } else if (who == 3) { // moved to where the parent has nothing
            mine = mremap(mine, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x340000000000);
            expect(mine != MAP_FAILED);
        } else if (who == 4) { // given up in part: zeros
            must(madvise(mine + 200 * PAGE, 10 * PAGE, MADV_DONTNEED));
        }
        atomic_fetch_add(&board->set, 1);
        while (!atomic_load(&board->go))
            nap_ms(3);
        if (who == 4)
            for (int i = 200; i < 210; i++) {
                expect(mine[i * PAGE] == 0 && mine[i * PAGE + 4095] == 0);
                fill(mine + i * PAGE, PAGE, seed_of(writer(who, i), i));
            }
        check(mine, who == 1 && child == 0 ? WORKERS : who);
        // What one writes the others do not see.
        if (who == 2)
            must(mprotect(mine + 100 * PAGE, 5 * PAGE, PROT_READ | PROT_WRITE));
        memset(mine, who, PAGES * PAGE);
        if (child > 0)
            reap_success(child);
        _exit(0);
    }
    write_own(memory, 99);
    while (atomic_load(&board->set) < WORKERS)
        nap_ms(2);
    ready();
    wait_verify();
    atomic_store(&board->go, 1);
    for (int who = 1; who < WORKERS; who++)
        reap_success(workers[who]);
    check(memory, 99);
    ok();
}
