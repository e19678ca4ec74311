// A 64-bit program that is in 32-bit code (a far jump to the other code segment, as wine does it) in one of its threads.
#include "victim.h"

enum { FLAG = 0x800, KEPT = 0x808, COUNT = 0x810, BACK = 0x100 };

// Goes to the code at the start of the page, on a stack in it, until that comes back.
__asm__(".text\nenter32: push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, 0x808(%rdi)\nlea 0xff0(%rdi), %rsp\nmov $0x1122334455667788, %r14\npush $0x23\npush %rdi\nlretq\n"
        "leave32: pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");
extern void enter32(char *page);
extern const char leave32[];

static void put(char *at, const void *bytes, size_t length, unsigned value)
{
    memcpy(at, bytes, length);
    memcpy(at + length, &value, 4);
}

static char *page(void)
{
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    expect(low != MAP_FAILED);
    unsigned base = (unsigned)(uintptr_t)low;
    memcpy(low, "\x66\xb8\x2b\x00\x8e\xd8\x8e\xc0", 8); //    mov $0x2b, %ax; mov %eax, %ds; mov %eax, %es
    memcpy(low + 8, "\xf3\x90", 2);             // 1: pause
    put(low + 10, "\xff\x05", 2, base + COUNT); //    incl COUNT
    put(low + 16, "\x83\x3d", 2, base + FLAG);  //    cmpl $0, FLAG
    memcpy(low + 22, "\x00\x74\xef", 3);        //    je 1b
    put(low + 25, "\xea", 1, base + BACK);      //    ljmp $0x33, $BACK
    memcpy(low + 30, "\x33\x00", 2);
    put(low + BACK, "\x48\x8b\x24\x25", 4, base + KEPT); // mov KEPT, %rsp
    memcpy(low + BACK + 8, "\x48\xb8", 2);               // mov $leave32, %rax; jmp *%rax
    uint64_t home = (uintptr_t)leave32;
    memcpy(low + BACK + 10, &home, 8);
    memcpy(low + BACK + 18, "\xff\xe0", 2);
    return low;
}

static atomic_uint *at(char *page, int offset)
{
    return (atomic_uint *)(page + offset);
}

static void *run(void *page)
{
    enter32(page);
    return page;
}

int main(void)
{
    pthread_t thread;
    char *first = page(), *second = page();
    must_zero(pthread_create(&thread, NULL, run, second));
    while (atomic_load(at(second, COUNT)) == 0)
        nap_ms(1);
    ready();
    wait_verify();
    unsigned before = atomic_load(at(second, COUNT));
    for (int i = 0; i < 1000 && atomic_load(at(second, COUNT)) == before; i++)
        nap_ms(1);
    expect(atomic_load(at(second, COUNT)) != before);
    atomic_store(at(second, FLAG), 1);
    must_zero(pthread_join(thread, NULL));
    atomic_store(at(first, FLAG), 1);
    enter32(first);
    ok();
}
