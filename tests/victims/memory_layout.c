// Three thousand mappings side by side, gaps, the lowest and the highest address, names of anonymous mappings, /dev/zero.
#include "victim.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

enum { COUNT = 3000 };

static bool named(const char *name)
{
    char *text = read_all("/proc/self/maps", NULL);
    bool found = strstr(text, name) != NULL;
    free(text);
    return found;
}

int main(void)
{
    char *base = mmap((void *)0x200000000000, COUNT * 2 * 4096L, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    expect(base == (void *)0x200000000000);
    for (int i = 0; i < COUNT; i++) {
        must(mprotect(base + i * 8192L, 4096, PROT_READ | PROT_WRITE));
        *(long *)(base + i * 8192L) = i;
    }
    char *low = mmap((void *)65536, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    char *high = mmap((void *)0x7ffffffff000 - 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    expect(low != MAP_FAILED && high != MAP_FAILED);
    fill(low, 4096, 1);
    fill(high, 4096, 2);
    char *name = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can_name = prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, name, 8192, "of the victim") == 0;
    int zero = must(open("/dev/zero", O_RDWR));
    char *private_zero = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    char *shared_zero = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
    expect(private_zero != MAP_FAILED && shared_zero != MAP_FAILED);
    close(zero);
    fill(private_zero, 4096, 3);
    fill(shared_zero, 4096, 4);
    // Moved with its pages, which keep the offsets of where they were.
    char *moved = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(moved, 16 * 4096, 5);
    char *target = mremap(moved, 16 * 4096, 32 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x210000000000);
    expect(target != MAP_FAILED);
    ready();
    wait_verify();
    for (int i = 0; i < COUNT; i++)
        expect_equal(*(long *)(base + i * 8192L), i);
    expect(filled(low, 4096, 1) && filled(high, 4096, 2));
    if (can_name)
        expect(named("[anon:of the victim]"));
    expect(filled(private_zero, 4096, 3) && private_zero[5000] == 0);
    expect(filled(shared_zero, 4096, 4) && shared_zero[5000] == 0);
    expect(filled(target, 16 * 4096, 5) && target[17 * 4096] == 0);
    pid_t pid = must(fork());
    if (pid == 0) {
        private_zero[0] = shared_zero[0] = 7;
        _exit(0);
    }
    reap_success(pid);
    expect_equal(shared_zero[0], 7);
    expect(filled(private_zero, 4096, 3));
    ok();
}
