// Memory protection keys: memory keeps its key, each thread its rights, the process what it has allocated (also a key freed while
// memory has it); memory that may only be executed has a key of the kernel's.
#include "victim.h"
#include <setjmp.h>

enum { KEYS = 16, PAGE = 4096 };

static sigjmp_buf back;
static volatile int fault_code, fault_key;
static atomic_int started;
static volatile int go;
static char *writable, *hidden, *orphaned, *code;
static int kept, freed, hiding, executable;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    fault_code = info->si_code;
    fault_key = (int)info->si_pkey;
    siglongjmp(back, 1);
}

static unsigned rights(void)
{
    unsigned value, rest;
    asm volatile(".byte 0x0f, 0x01, 0xee" : "=a"(value), "=d"(rest) : "c"(0)); // rdpkru
    return value;
}

// The key that a fault names; 0 where there is none, -1 for a fault of another kind.
static int key_of_fault(volatile char *address, bool write)
{
    unsigned own = rights();
    if (sigsetjmp(back, 1) != 0) {
        // A handler has the kernel's first rights, and a jump keeps them.
        asm volatile(".byte 0x0f, 0x01, 0xef" : : "a"(own), "c"(0), "d"(0) : "memory"); // wrpkru
        return fault_code == SEGV_PKUERR ? fault_key : -1;
    }
    if (write)
        *address = *address;
    else
        (void)*address;
    return 0;
}

static int key_shown(const void *address)
{
    char line[512], begins[32];
    int key = -1;
    bool here = false;
    snprintf(begins, sizeof begins, "%lx-", (unsigned long)address);
    FILE *maps = fopen("/proc/self/smaps", "r");
    expect(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strncmp(line, begins, strlen(begins)) == 0)
            here = true;
        if (here && sscanf(line, "ProtectionKey: %d", &key) == 1)
            break;
    }
    fclose(maps);
    return key;
}

static char *page_of(char content)
{
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(page != MAP_FAILED);
    memset(page, content, PAGE);
    return page;
}

// Its rights are the opposite of the main thread's.
static void *run(void *unused)
{
    (void)unused;
    must_zero(pkey_set(kept, PKEY_DISABLE_ACCESS));
    must_zero(pkey_set(hiding, 0));
    unsigned before = rights();
    atomic_fetch_add(&started, 1);
    while (!go)
        nap_ms(1);
    expect_equal(rights(), before);
    expect_equal(key_of_fault(writable, false), kept);
    expect(hidden[7] == 'h');
    hidden[7] = 'H';
    return NULL;
}

int main(void)
{
    kept = pkey_alloc(0, 0);
    if (kept < 0)
        skip("no memory protection keys here");
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    must(sigaction(SIGSEGV, &action, NULL));
    int spare = (int)must(pkey_alloc(0, 0));
    freed = (int)must(pkey_alloc(0, 0));
    hiding = (int)must(pkey_alloc(0, 0));
    writable = page_of('w'), hidden = page_of('h'), orphaned = page_of('o'), code = page_of('\xc3'); // ret
    must(pkey_mprotect(writable, PAGE, PROT_READ | PROT_WRITE, kept));
    must(pkey_mprotect(hidden, PAGE, PROT_READ | PROT_WRITE, hiding));
    must(pkey_mprotect(orphaned, PAGE, PROT_READ, freed));
    must(mprotect(code, PAGE, PROT_EXEC));
    executable = key_shown(code);
    expect(executable > 0);
    must(pkey_free(freed));
    must(pkey_free(spare));
    must_zero(pkey_set(freed, 0));
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, run, NULL));
    must_zero(pkey_set(kept, PKEY_DISABLE_WRITE));
    must_zero(pkey_set(hiding, PKEY_DISABLE_ACCESS));
    unsigned before = rights();
    while (atomic_load(&started) == 0)
        nap_ms(1);
    ready();
    wait_verify();
    expect_equal(rights(), before);
    expect_equal(key_shown(writable), kept);
    expect_equal(key_shown(hidden), hiding);
    expect_equal(key_shown(orphaned), freed);
    expect_equal(key_shown(code), executable);
    expect(writable[9] == 'w' && orphaned[9] == 'o');
    expect_equal(key_of_fault(writable, true), kept);
    expect_equal(key_of_fault(hidden, false), hiding);
    expect_equal(key_of_fault(code, false), executable);
    ((void (*)(void))code)();
    go = 1;
    must_zero(pthread_join(thread, NULL));
    must_zero(pkey_set(hiding, 0));
    expect(hidden[7] == 'H' && hidden[8] == 'h');
    // What is left to allocate is what was: all but two of its own and the kernel's.
    for (int key = 1; key < KEYS; key++)
        if (key != kept && key != hiding && key != executable)
            expect_equal(pkey_alloc(0, 0), key);
    expect(pkey_alloc(0, 0) == -1 && errno == ENOSPC);
    ok();
}
