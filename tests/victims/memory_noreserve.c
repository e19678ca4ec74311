// MAP_NORESERVE: mappings far larger than the machine's memory, with a page here and there, beside a stack-like one and a shared one.
#include "victim.h"

static bool has_flag(const void *address, const char *flag)
{
    char *text = read_all("/proc/self/smaps", NULL), *line, *rest = text;
    unsigned long start, end;
    bool ours = false, found = false;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            ours = start <= (uintptr_t)address && (uintptr_t)address < end;
        else if (ours && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    free(text);
    return found;
}

int main(void)
{
    size_t size = 1UL << 40, step = 1UL << 35;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        skip("overcommitting is not allowed here (vm.overcommit_memory)");
    for (size_t at = 0; at < size; at += step)
        fill(memory + at + 4096, 4096, at);
    char *shared = mmap(NULL, 1UL << 32, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    expect(shared != MAP_FAILED);
    fill(shared + (1UL << 31), 4096, 1);
    char *reserved = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool told = has_flag(memory, " nr"), told_shared = has_flag(shared, " nr");
    ready();
    wait_verify();
    expect_equal(has_flag(memory, " nr"), told);
    expect_equal(has_flag(shared, " nr"), told_shared);
    expect(!has_flag(reserved, " nr"));
    for (size_t at = 0; at < size; at += step)
        expect(filled(memory + at + 4096, 4096, at) && memory[at] == 0);
    expect(filled(shared + (1UL << 31), 4096, 1));
    ok();
}
