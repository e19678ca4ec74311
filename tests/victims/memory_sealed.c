// Sealed memory (mseal): nobody can unmap it, move it, or change what may be done with it, written, read-only and untouched, of a file too.
#include "victim.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
enum { PAGE = 4096 };

static void check(char *memory)
{
    expect(munmap(memory, PAGE) == -1 && errno == EPERM);
    expect(mprotect(memory, PAGE, PROT_NONE) == -1 && errno == EPERM);
    expect(mremap(memory, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EPERM);
    expect(mmap(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EPERM);
}

int main(void)
{
    char *memory = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(memory, 2 * PAGE, 1);
    must(mprotect(memory + PAGE, PAGE, PROT_READ));
    if (syscall(SYS_mseal, memory, 3 * PAGE, 0) != 0)
        skip("this kernel has no mseal");
    int fd = must(open("/proc/self/exe", O_RDONLY));
    char *file = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), *shared = shared_memory(PAGE);
    close(fd);
    expect(file != MAP_FAILED);
    fill(shared, PAGE, 2);
    must(syscall(SYS_mseal, file, PAGE, 0));
    must(syscall(SYS_mseal, shared, PAGE, 0));
    ready();
    wait_verify();
    for (int i = 0; i < 3; i++)
        check(memory + i * PAGE);
    check(file);
    check(shared);
    expect(filled(memory, 2 * PAGE, 1) && memory[2 * PAGE] == 0 && filled(shared, PAGE, 2) && memcmp(file, "\177ELF", 4) == 0);
    memory[0] ^= 1;
    memory[2 * PAGE] = 1;
    // Its neighbour is not sealed.
    must(munmap(memory + 4 * PAGE, PAGE));
    ok();
}
