// scale: a tree of 1,000 processes
// snapshot: no it takes too long for so many
#include "victim.h"

enum { BRANCHES = 10, LEAVES = 99 };
static atomic_int *count;

static void stay(long number)
{
    uint64_t words[32];
    fill(words, sizeof words, number);
    atomic_fetch_add(&count[0], 1);
    while (!atomic_load(&count[1]))
        nap_ms(200);
    expect(filled(words, sizeof words, number));
}

int main(void)
{
    count = shared_memory(4096);
    for (int i = 0; i < BRANCHES; i++) {
        if (must(fork()) == 0) {
            for (int j = 0; j < LEAVES; j++)
                if (must(fork()) == 0) {
                    stay(i * 1000 + j);
                    _exit(0);
                }
            stay(i);
            for (int j = 0; j < LEAVES; j++) {
                int status;
                expect(wait(&status) > 0 && status == 0);
            }
            _exit(0);
        }
    }
    while (atomic_load(&count[0]) < BRANCHES * (LEAVES + 1))
        nap_ms(5);
    ready();
    wait_verify();
    atomic_store(&count[1], 1);
    for (int i = 0; i < BRANCHES; i++) {
        int status;
        expect(wait(&status) > 0 && status == 0);
    }
    ok();
}
