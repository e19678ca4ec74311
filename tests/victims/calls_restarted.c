// snapshot: no the waits end by themselves
// Waits with a time limit that a stop has interrupted before, so that they go on by restart_syscall, and whose number comes from
// a register, as in musl: which call each is shows in nothing but its arguments.
#include "victim.h"
#include <linux/futex.h>

enum { LIMIT_MS = 1500, KINDS = 6 };

static long call(volatile long number, long a, long b, long c, long d)
{
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
    return result;
}

static long wait_by(int kind)
{
    static struct timespec time = {LIMIT_MS / 1000, LIMIT_MS % 1000 * 1000000L}, rest;
    static struct pollfd polled[3];
    static int word = 5, pipes[2];
    switch (kind) {
    case 0: return call(SYS_nanosleep, (long)&time, (long)&rest, 0, 0);
    case 1: return call(SYS_nanosleep, (long)&time, 0, 0, 0);
    case 2: return call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&time, (long)&rest);
    case 3: return call(SYS_poll, 0, 0, LIMIT_MS, 0);
    case 4:
        must(pipe(pipes));
        polled[0] = (struct pollfd){-1, POLLIN, 0};
        polled[1] = (struct pollfd){pipes[0], POLLIN, 0};
        return call(SYS_poll, (long)polled, 2, LIMIT_MS, 0);
    default: return call(SYS_futex, (long)&word, FUTEX_WAIT_PRIVATE, 5, (long)&time);
    }
}

int main(void)
{
    pid_t children[KINDS];
    for (int i = 0; i < KINDS; i++) {
        children[i] = must(fork());
        if (children[i] == 0) {
            int64_t begin = now_ns(CLOCK_BOOTTIME);
            long result = wait_by(i), wanted = i == 5 ? -ETIMEDOUT : 0;
            if (result != wanted)
                fail("wait %d gave %ld, not %ld", i, result, wanted);
            if (now_ns(CLOCK_BOOTTIME) - begin < (LIMIT_MS - 5) * 1000000LL)
                fail("wait %d ended early, after %lld ms", i, (long long)(now_ns(CLOCK_BOOTTIME) - begin) / 1000000);
            _exit(0);
        }
    }
    nap_ms(50);
    for (int i = 0; i < KINDS; i++) {
        must(kill(children[i], SIGSTOP));
        must(waitpid(children[i], NULL, WUNTRACED));
        must(kill(children[i], SIGCONT));
    }
    nap_ms(20);
    ready();
    wait_verify();
    for (int i = 0; i < KINDS; i++)
        reap_success(children[i]);
    ok();
}
