// Guard pages (madvise MADV_GUARD_INSTALL): where they were they are, in the middle of written pages and in untouched memory, and
// what they cover is gone; taken away they leave zeros.
#include "victim.h"
#include <setjmp.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
enum { PAGE = 4096, PAGES = 64 };

static sigjmp_buf back;
static void on_fault(int number) { siglongjmp(back, number); }

static bool guarded(volatile char *at)
{
    if (sigsetjmp(back, 1) != 0)
        return true;
    (void)*at;
    return false;
}

// Every fourth page, and a run of eight.
static bool is_guard(int page) { return page % 4 == 1 || (page >= 40 && page < 48); }

static void check(char *memory, bool written)
{
    for (int i = 0; i < PAGES; i++) {
        if (guarded(memory + i * PAGE) != is_guard(i))
            fail("page %d of the %s memory is %sguarded", i, written ? "written" : "untouched", is_guard(i) ? "not " : "");
        if (!is_guard(i) && written)
            expect(filled(memory + i * PAGE, PAGE, i));
    }
}

int main(void)
{
    must(sigaction(SIGSEGV, &(struct sigaction){.sa_handler = on_fault}, NULL));
    char *written = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *untouched = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // Kept through a change of the protection, and through a fork.
    char *closed = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < PAGES; i++)
        fill(written + i * PAGE, PAGE, i);
    if (madvise(closed + PAGE, PAGE, MADV_GUARD_INSTALL) != 0)
        skip("this kernel has no guard pages");
    fill(closed, PAGE, 7);
    must(mprotect(closed, 4 * PAGE, PROT_NONE));
    for (int i = 0; i < PAGES; i++)
        if (is_guard(i)) {
            must(madvise(written + i * PAGE, PAGE, MADV_GUARD_INSTALL));
            must(madvise(untouched + i * PAGE, PAGE, MADV_GUARD_INSTALL));
        }
    // In a mapping of a file, and in shared memory, where the page behind a guard is there for others.
    int fd = must(open("file", O_RDWR | O_CREAT | O_TRUNC, 0666));
    for (int i = 0; i < 4; i++)
        must(write(fd, written + i / 2 * 2 * PAGE, PAGE));
    char *file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), *shared = shared_memory(4 * PAGE);
    expect(file != MAP_FAILED);
    close(fd);
    fill(shared, 4 * PAGE, 8);
    file[0] ^= 1;
    bool of_files = madvise(file + PAGE, PAGE, MADV_GUARD_INSTALL) == 0 && madvise(shared + 2 * PAGE, PAGE, MADV_GUARD_INSTALL) == 0;
    struct { atomic_int go; } *board = shared_memory(PAGE);
    pid_t pid = must(fork());
    if (pid == 0) {
        while (!atomic_load(&board->go))
            nap_ms(3);
        check(written, true);
        check(untouched, false);
        _exit(0);
    }
    ready();
    wait_verify();
    check(written, true);
    check(untouched, false);
    must(mprotect(closed, 4 * PAGE, PROT_READ | PROT_WRITE));
    expect(filled(closed, PAGE, 7) && guarded(closed + PAGE) && !guarded(closed + 2 * PAGE));
    if (of_files) {
        expect(!guarded(file) && guarded(file + PAGE) && !guarded(file + 2 * PAGE));
        expect(!guarded(shared + PAGE) && guarded(shared + 2 * PAGE) && filled(shared, 2 * PAGE, 8));
        must(madvise(shared, 4 * PAGE, MADV_GUARD_REMOVE));
        expect(filled(shared, 4 * PAGE, 8));
    }
    must(madvise(written, PAGES * PAGE, MADV_GUARD_REMOVE));
    expect(!guarded(written + PAGE) && written[PAGE] == 0 && filled(written, PAGE, 0));
    atomic_store(&board->go, 1);
    reap_success(pid);
    ok();
}
