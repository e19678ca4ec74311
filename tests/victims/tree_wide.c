// A tree twelve levels deep and one forty processes wide, each with its own memory; exit codes travel up it.
#include "victim.h"

static atomic_int *count;

static int deep(int level)
{
    uint64_t words[128];
    fill(words, sizeof words, level);
    pid_t child = 0;
    if (level < 12 && (child = must(fork())) == 0)
        _exit(deep(level + 1));
    atomic_fetch_add(count, 1);
    wait_verify();
    expect(filled(words, sizeof words, level));
    int status = 0;
    if (child != 0)
        expect_equal(must(waitpid(child, &status, 0)), child);
    expect(WIFEXITED(status));
    return WEXITSTATUS(status) + 1;
}

int main(void)
{
    pid_t wide[40];
    count = shared_memory(4096);
    for (int i = 0; i < 40; i++) {
        if ((wide[i] = must(fork())) == 0) {
            uint64_t words[128];
            fill(words, sizeof words, 100 + i);
            atomic_fetch_add(count, 1);
            wait_verify();
            expect(filled(words, sizeof words, 100 + i));
            _exit(i);
        }
    }
    pid_t child = must(fork());
    if (child == 0)
        _exit(deep(1));
    while (atomic_load(count) < 52)
        nap_ms(1);
    ready();
    wait_verify();
    int status;
    expect_equal(must(waitpid(child, &status, 0)), child);
    expect_equal(status, 12 << 8);
    for (int i = 0; i < 40; i++) {
        expect_equal(must(waitpid(wide[i], &status, 0)), wide[i]);
        expect_equal(status, i << 8);
    }
    ok();
}
