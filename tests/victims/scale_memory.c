// scale: 4 GiB of memory that does not compress
#include "victim.h"

int main(void)
{
    size_t size = 4UL << 30;
    // Where there is not room enough for it and its image, a quarter of that.
    char *text = read_all("/proc/meminfo", NULL);
    if (atol(strstr(text, "MemAvailable:") + 13) < 6L << 20)
        size /= 4;
    uint64_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED);
    for (size_t i = 0; i < size / 8; i++)
        memory[i] = i * 0x9e3779b97f4a7c15ULL ^ i >> 7;
    ready();
    wait_verify();
    for (size_t i = 0; i < size / 8; i++)
        if (memory[i] != (i * 0x9e3779b97f4a7c15ULL ^ i >> 7))
            fail("the word at %zu differs", i * 8);
    ok();
}
