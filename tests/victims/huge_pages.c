// huge pages: 16
// Anonymous huge pages: private, written and not, of a parent and its child; shared by both; without a reservation; a part given another protection,
// and one unmapped.
#include "victim.h"

enum { HUGE = 2 << 20 };

static void *huge(size_t bytes, int flags)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);
    if (memory == MAP_FAILED)
        skip("not enough huge pages here");
    return memory;
}

// KernelPageSize of the mapping at an address, in KiB.
static long page_size_of(const void *address)
{
    char *text = read_all("/proc/self/smaps", NULL), *line, *rest = text;
    unsigned long start, end;
    long size = 0;
    bool ours = false;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            ours = start <= (uintptr_t)address && (uintptr_t)address < end;
        else if (ours)
            sscanf(line, "KernelPageSize: %ld", &size);
    }
    free(text);
    return size;
}

int main(void)
{
    char *private = huge(2 * HUGE, MAP_PRIVATE), *shared = huge(2 * HUGE, MAP_SHARED), *cut = huge(3 * HUGE, MAP_PRIVATE), *loose = huge(HUGE, MAP_PRIVATE | MAP_NORESERVE);
    // Only reserved, for a test that wants more than there are (MemoryTests.cs).
    if (getenv("STASIS_MORE_HUGE_PAGES"))
        huge(strtoul(getenv("STASIS_MORE_HUGE_PAGES"), NULL, 10) * HUGE, MAP_PRIVATE);
    struct { atomic_int go; } *board = shared_memory(4096);
    fill(private, 8192, 1);
    fill(private + HUGE - 4096, 4096, 2);
    fill(shared + HUGE + 4096, 4096, 3);
    fill(cut, 4096, 4);
    fill(cut + 2 * HUGE, 4096, 5);
    must(mprotect(cut, HUGE, PROT_READ));
    must(munmap(cut + HUGE, HUGE));
    loose[77] = 7;
    must(madvise(loose, HUGE, MADV_DONTFORK));
    pid_t pid = must(fork());
    if (pid == 0) {
        while (!atomic_load(&board->go))
            nap_ms(3);
        expect(filled(private, 8192, 1) && filled(cut, 4096, 4));
        expect_equal(page_size_of(private), 2048);
        fill(shared, 4096, 6);
        private[5] ^= 1;
        _exit(0);
    }
    ready();
    wait_verify();
    expect(filled(private, 8192, 1) && filled(private + HUGE - 4096, 4096, 2) && private[8192] == 0 && private[HUGE] == 0);
    expect(filled(shared + HUGE + 4096, 4096, 3) && shared[0] == 0);
    expect(filled(cut, 4096, 4) && filled(cut + 2 * HUGE, 4096, 5) && loose[77] == 7);
    expect_equal(page_size_of(private), 2048);
    expect_equal(page_size_of(shared), 2048);
    expect_equal(page_size_of(loose), 2048);
    atomic_store(&board->go, 1);
    reap_success(pid);
    expect(filled(shared, 4096, 6));
    expect(filled(private, 8192, 1));
    // What was not written yet was reserved, and is there.
    private[HUGE + 5] = 9;
    must(mprotect(cut, HUGE, PROT_READ | PROT_WRITE));
    cut[0] ^= 1;
    ok();
}
