// Advice on mappings, as smaps shows it in VmFlags: what it was before is what it is after, and fork obeys it.
#include "victim.h"

// The flags of every mapping of ours, in order, without the soft-dirty mark.
static char *flags_of(const char *from, const char *to)
{
    char *text = read_all("/proc/self/smaps", NULL), *result = calloc(1, 65536), *line, *rest = text;
    bool ours = false;
    while ((line = strsep(&rest, "\n")) != NULL) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            ours = start >= (unsigned long)from && end <= (unsigned long)to;
            if (ours)
                snprintf(result + strlen(result), 100, "%lx", start - (unsigned long)from);
        }
        if (ours && strncmp(line, "VmFlags:", 8) == 0) {
            char *dirty = strstr(line, " sd");
            if (dirty)
                memmove(dirty, dirty + 3, strlen(dirty + 3) + 1);
            strcat(strcat(result, line + 8), "\n");
        }
    }
    free(text);
    return result;
}

int main(void)
{
    static const int advice[] = {MADV_DONTDUMP, MADV_DONTFORK, MADV_WIPEONFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE,
                                 MADV_SEQUENTIAL, MADV_RANDOM, MADV_NORMAL};
    enum { COUNT = sizeof advice / sizeof *advice };
    size_t size = 2 * COUNT * 16 * 4096;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED);
    for (int i = 0; i < COUNT; i++) {
        char *here = memory + 2 * i * 16 * 4096;
        fill(here, 16 * 4096, i);
        // Some kernels are built without one or another.
        if (madvise(here, 16 * 4096, advice[i]) != 0)
            expect_equal(errno, EINVAL);
    }
    char *before = flags_of(memory, memory + size);
    ready();
    wait_verify();
    char *after = flags_of(memory, memory + size);
    if (strcmp(before, after) != 0) {
        size_t at = 0;
        while (before[at] == after[at])
            at++;
        while (at > 0 && before[at - 1] != '\n')
            at--;
        fail("VmFlags: %.60s ... was %.60s", after + at, before + at);
    }
    for (int i = 0; i < COUNT; i++)
        expect(filled(memory + 2 * i * 16 * 4096, 16 * 4096, i));
    pid_t pid = must(fork());
    if (pid == 0) {
        for (int i = 0; i < 4096; i++)
            expect(memory[2 * 2 * 16 * 4096 + i] == 0);
        unsigned char there;
        expect(mincore(memory + 2 * 1 * 16 * 4096, 4096, &there) == -1 && errno == ENOMEM);
        _exit(0);
    }
    reap_success(pid);
    ok();
}
