// Private and shared mappings of files that were changed since: overwritten, grown, cut and grown again, renamed, replaced by another of the same
// name, deleted with two processes that share a mapping of it.
#include "victim.h"
#include <setjmp.h>

enum { PAGE = 4096 };
static sigjmp_buf back;
static void on_fault(int number) { siglongjmp(back, number); }

static int make(const char *name, int pages, uint64_t seed)
{
    static char content[8 * PAGE];
    fill(content, pages * PAGE, seed);
    int fd = must(open(name, O_RDWR | O_CREAT | O_EXCL, 0666));
    must(write(fd, content, pages * PAGE));
    return fd;
}

static char *map(int fd, int pages, int flags)
{
    char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
    expect(memory != MAP_FAILED);
    close(fd);
    return memory;
}

static int fault_at(volatile char *at)
{
    int number = sigsetjmp(back, 1);
    if (number == 0)
        (void)*at;
    return number;
}

int main(void)
{
    static char other[PAGE];
    must(sigaction(SIGBUS, &(struct sigaction){.sa_handler = on_fault}, NULL));
    fill(other, PAGE, 99);
    // A page of one's own, one that was only read, one that was not touched.
    char *overwritten = map(make("overwritten", 3, 1), 3, MAP_PRIVATE);
    fill(overwritten, PAGE, 50);
    int seen = overwritten[PAGE];
    int fd = must(open("overwritten", O_WRONLY));
    for (int i = 0; i < 3; i++)
        must(pwrite(fd, other, PAGE, i * PAGE));
    close(fd);
    char *grown = map(make("grown", 1, 2), 3, MAP_PRIVATE);
    must(truncate("grown", 2 * PAGE));
    fill(grown + PAGE, PAGE, 51);
    char *cut = map(make("cut", 3, 3), 3, MAP_PRIVATE);
    fill(cut, 3 * PAGE, 52);
    must(truncate("cut", PAGE));
    must(truncate("cut", 2 * PAGE));
    char *renamed = map(make("before", 2, 4), 2, MAP_PRIVATE);
    fill(renamed + PAGE, PAGE, 53);
    must(rename("before", "after"));
    char *replaced = map(make("replaced", 2, 5), 2, MAP_PRIVATE);
    fill(replaced, PAGE, 54);
    close(make("new", 2, 6));
    must(rename("new", "replaced"));
    char *deleted = map(make("deleted", 2, 7), 2, MAP_SHARED), *deleted_private = map(make("deleted too", 2, 8), 2, MAP_PRIVATE);
    must(unlink("deleted"));
    must(unlink("deleted too"));
    fill(deleted_private, PAGE, 55);
    *(int *)deleted = 0;
    pid_t pid = must(fork());
    if (pid == 0) {
        while (!atomic_load((atomic_int *)deleted))
            nap_ms(3);
        expect(filled(deleted_private, PAGE, 55) && filled(deleted_private + PAGE, PAGE, 8 + PAGE / 8));
        fill(deleted + PAGE, PAGE, 56);
        _exit(0);
    }
    ready();
    wait_verify();
    expect(filled(overwritten, PAGE, 50) && memcmp(overwritten + PAGE, other, PAGE) == 0 && memcmp(overwritten + 2 * PAGE, other, PAGE) == 0);
    expect(seen != 0x1ff);
    expect(filled(grown, PAGE, 2) && filled(grown + PAGE, PAGE, 51));
    expect_equal(fault_at(grown + 2 * PAGE), SIGBUS);
    expect(filled(cut, PAGE, 52) && cut[PAGE] == 0);
    expect_equal(fault_at(cut + 2 * PAGE), SIGBUS);
    expect(filled(renamed, PAGE, 4) && filled(renamed + PAGE, PAGE, 53));
    expect(filled(replaced, PAGE, 54) && filled(replaced + PAGE, PAGE, 5 + PAGE / 8));
    expect(filled(deleted + PAGE, PAGE, 7 + PAGE / 8) && *(int *)deleted == 0);
    *(atomic_int *)deleted = 1;
    reap_success(pid);
    expect(filled(deleted + PAGE, PAGE, 56) && filled(deleted_private, PAGE, 55));
    ok();
}
