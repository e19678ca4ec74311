// A stack pointer at the very end of a stack on which every byte is in use: nothing of ours may lie there.
// snapshot: no: a frame for the way home needs a page more, by which the stack grows as it would by any call of the program's own
#include "victim.h"

static inline __attribute__((always_inline)) long call(long number, const void *first, const void *second, long third)
{
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
    return result;
}

static uintptr_t stack_start(void)
{
    char line[512];
    uintptr_t start = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    expect(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "[stack]") != NULL)
            start = strtoul(line, NULL, 16);
    fclose(maps);
    expect(start != 0);
    return start;
}

__attribute__((noinline)) static void at_the_end(uintptr_t start)
{
    // From here to the check nothing is called: not a byte below the stack pointer is needed.
    static const struct timespec little = {0, 5000000};
    static struct stat status;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    size_t length = (here - start - 512) & ~(size_t)63;
    volatile uint64_t *room = __builtin_alloca(length);
    size_t words = length / 8;
    for (size_t i = 0; i < words; i++)
        room[i] = (i + 1) * 0x9e3779b97f4a7c15u;
    register uintptr_t pointer asm("rsp");
    uintptr_t bottom = pointer;
    if (bottom < start || bottom > start + 1024)
        fail("the stack pointer is %zd bytes from the stack's end", (ssize_t)(bottom - start));
    long made = call(SYS_creat, "ready", (void *)0666, 0);
    call(SYS_write, (void *)made, "ready", 5);
    call(SYS_close, (void *)made, NULL, 0);
    while (call(SYS_stat, "verify", &status, 0) != 0 || status.st_size == 0)
        call(SYS_nanosleep, &little, NULL, 0);
    size_t wrong = 0;
    for (size_t i = 0; i < words; i++)
        wrong += room[i] != (i + 1) * 0x9e3779b97f4a7c15u;
    if (wrong != 0)
        fail("%zu of %zu words at the stack's end are different", wrong, words);
}

int main(void)
{
    at_the_end(stack_start());
    ok();
}
