// Private memory keeps its content: patterns, holes, zero pages, data, bss, heap, stack, a big sparse mapping.
#include "victim.h"

static uint64_t data_words[4096] = {1, 2, 3};
static uint64_t bss_words[4096];

int main(void)
{
    uint64_t stack_words[512];
    size_t size = 4 << 20;
    fill(stack_words, sizeof stack_words, 1);
    fill(bss_words, sizeof bss_words, 2);
    fill(data_words + 2048, sizeof data_words / 2, 3);
    char *heap = malloc(100000), *large = malloc(size);
    fill(heap, 100000, 4);
    fill(large, size, 5);

    // 64 GiB of which only every 1 GiB a page is there, one of them written with zeros.
    size_t sparse_size = 64UL << 30;
    char *sparse = mmap(NULL, sparse_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    expect(sparse != MAP_FAILED);
    for (size_t i = 0; i < 64; i++)
        fill(sparse + (i << 30) + 4096 * i, 4096, 100 + i);
    memset(sparse + (5UL << 30) + 4096 * 5, 0, 4096);

    // Every second page discarded again.
    char *holes = mmap(NULL, 256 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(holes != MAP_FAILED);
    fill(holes, 256 * 4096, 6);
    for (int i = 0; i < 256; i += 2)
        must(madvise(holes + i * 4096, 4096, MADV_DONTNEED));
    // Pages that were only read hold the shared zero page.
    volatile char *only_read = mmap(NULL, 64 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int sum = 0;
    for (int i = 0; i < 64; i++)
        sum += only_read[i * 4096];
    expect_equal(sum, 0);

    ready();
    wait_verify();

    expect(filled(stack_words, sizeof stack_words, 1));
    expect(filled(bss_words, sizeof bss_words, 2));
    expect(filled(data_words + 2048, sizeof data_words / 2, 3));
    expect(data_words[0] == 1 && data_words[1] == 2 && data_words[2] == 3 && data_words[3] == 0);
    expect(filled(heap, 100000, 4));
    expect(filled(large, size, 5));
    for (size_t i = 0; i < 64; i++)
        if (i != 5)
            expect(filled(sparse + (i << 30) + 4096 * i, 4096, 100 + i));
    for (int i = 0; i < 4096; i++)
        expect(sparse[(5UL << 30) + 4096 * 5 + i] == 0);
    expect(sparse[(7UL << 30)] == 0);
    static char zeros[4096];
    static char pages[256 * 4096];
    fill(pages, sizeof pages, 6);
    for (int i = 0; i < 256; i++)
        expect(memcmp(holes + i * 4096, i % 2 ? pages + i * 4096 : zeros, 4096) == 0);
    for (int i = 0; i < 64; i++)
        expect(only_read[i * 4096] == 0);
    free(heap);
    free(large);
    must(munmap(sparse, sparse_size));
    ok();
}
