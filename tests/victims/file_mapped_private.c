// Private mappings of files: pages written and not, read-only pages made writable and written, a tail beyond the end of
// the file, the program's own text and data, an offset.
#include "victim.h"
#include <setjmp.h>

static sigjmp_buf back;
static void on_fault(int number) { siglongjmp(back, number); }
static const char constant[8192] = {1, 2, 3};

int main(void)
{
    char content[6 * 4096];
    fill(content, sizeof content, 1);
    int fd = must(open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(write(fd, content, sizeof content - 1000));
    char *memory = mmap(NULL, 10 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *offset = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 2 * 4096);
    expect(memory != MAP_FAILED && offset != MAP_FAILED);
    close(fd);
    fill(memory + 4096, 4096, 2);
    memory[5 * 4096 + 4000] = 9;
    must(mprotect(memory + 3 * 4096, 4096, PROT_NONE));
    // A written page of the program's read-only data.
    char *page = (char *)(((uintptr_t)constant + 4095) & ~4095UL);
    must(mprotect(page, 4096, PROT_READ | PROT_WRITE));
    page[5] = 77;
    must(mprotect(page, 4096, PROT_READ));
    ready();
    wait_verify();
    expect(memcmp(memory, content, 4096) == 0);
    expect(filled(memory + 4096, 4096, 2));
    expect(memcmp(memory + 2 * 4096, content + 2 * 4096, 4096) == 0);
    expect(memcmp(offset, content + 2 * 4096, 4096) == 0);
    expect(memcmp(memory + 4 * 4096, content + 4 * 4096, 4096) == 0);
    expect_equal(memory[5 * 4096 + 4000], 9);
    expect_equal(memory[5 * 4096 + 3999], 0);
    expect(memcmp(memory + 5 * 4096, content + 5 * 4096, 3000) == 0);
    must(mprotect(memory + 3 * 4096, 4096, PROT_READ));
    expect(memcmp(memory + 3 * 4096, content + 3 * 4096, 4096) == 0);
    expect_equal(page[5], 77);
    expect_equal(((volatile const char *)constant)[1], 2);
    // Beyond the last page of the file there is SIGBUS.
    must(sigaction(SIGBUS, &(struct sigaction){.sa_handler = on_fault}, NULL));
    int number = sigsetjmp(back, 1);
    if (number == 0) {
        (void)*(volatile char *)(memory + 7 * 4096);
        fail("there is memory beyond the end of the file");
    }
    expect_equal(number, SIGBUS);
    ok();
}
