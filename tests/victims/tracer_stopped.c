// A debugger and what it debugs, all stopped: at a breakpoint whose stop was waited for, at a signal that was not waited for yet, at the entry
// and at the exit of a system call, by PTRACE_INTERRUPT, a process of two threads, and in stops in which one more was asked for. Attached and seized, with different options.
#include "victim.h"
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

struct board {
    atomic_int steps[9];
    atomic_int caught[9];
    atomic_int threads;
};
static struct board *board;
static volatile int which;

static void on_signal(int number, siginfo_t *information, void *context)
{
    (void)context;
    atomic_store(&board->caught[which], number * 1000 + information->si_value.sival_int);
}

static void handle(int number)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    must(sigaction(number, &action, NULL));
}

__attribute__((noinline)) static void step(void)
{
    atomic_fetch_add(&board->steps[which], 1);
    __asm__ volatile("nop; nop; nop; nop" ::: "memory");
}

static pid_t start(int number, void (*body)(void))
{
    pid_t child = must(fork());
    if (child == 0) {
        which = number;
        body();
        _exit(40 + number);
    }
    return child;
}

static int await_stop(pid_t child)
{
    int status;
    expect_equal(must(waitpid(child, &status, __WALL)), child);
    if (!WIFSTOPPED(status))
        fail("%d is not stopped: 0x%x", child, status);
    return status >> 8;
}

static void await_state(pid_t pid, char wanted)
{
    for (int i = 0; i < 4000; i++) {
        char path[64], *text;
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        text = read_all(path, NULL);
        char state = strrchr(text, ')')[2];
        free(text);
        if (state == wanted)
            return;
        nap_through_signals_ms(1);
    }
    fail("%d does not come to state %c", pid, wanted);
}

static void expect_nothing(pid_t child)
{
    int status;
    expect_equal(must(waitpid(child, &status, __WALL | WNOHANG)), 0);
}

static struct user_regs_struct registers_of(pid_t child)
{
    struct user_regs_struct registers;
    struct iovec vector = {&registers, sizeof registers};
    must(ptrace(PTRACE_GETREGSET, child, 1, &vector));
    return registers;
}

static siginfo_t information_of(pid_t child)
{
    siginfo_t information;
    must(ptrace(PTRACE_GETSIGINFO, child, 0, &information));
    return information;
}

static void expect_exit(pid_t child, int code)
{
    int status;
    expect_equal(must(waitpid(child, &status, __WALL)), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail("child %d ended with status 0x%x, not by exit %d", child, status, code);
}

// 0: attached as gdb does it, and at a breakpoint.
static void traced_by_parent(void)
{
    must(ptrace(PTRACE_TRACEME, 0, 0, 0));
    must(raise(SIGSTOP));
    handle(SIGUSR1);
    for (int i = 0; i < 3; i++)
        step();
}

// 1: a signal with a value, of whose stop the tracer has not heard yet.
static void gets_a_signal(void)
{
    handle(SIGUSR2);
    while (atomic_load(&board->caught[1]) == 0)
        nap_through_signals_ms(1);
}

// 2 and 3: at the entry and at the exit of a system call.
static void makes_calls(void)
{
    for (int i = 0; i < 10; i++) {
        errno = 0;
        expect_equal(syscall(SYS_close, 7777), -1);
        expect_equal(errno, EBADF);
        step();
        nap_through_signals_ms(1);
    }
}

// 4: interrupted in a system call that must go on.
static void sleeps(void)
{
    nap_ms(1500);
    step();
}

// 5: two threads.
static void *second_thread(void *nothing)
{
    atomic_store(&board->threads, gettid());
    while (!atomic_load(&board->caught[5]))
        nap_through_signals_ms(1);
    return nothing;
}

static void two_threads(void)
{
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, second_thread, NULL));
    while (!atomic_load(&board->caught[5]))
        nap_through_signals_ms(1);
    must_zero(pthread_join(thread, NULL));
}

static volatile sig_atomic_t news;
static void on_news(int number)
{
    (void)number;
    news++;
}

static long to_call(pid_t child, int wanted, bool entry)
{
    for (int i = 0; i < 100; i++) {
        must(ptrace(PTRACE_SYSCALL, child, 0, 0));
        expect_equal(await_stop(child), SIGTRAP | 0x80);
        struct __ptrace_syscall_info call;
        must(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call));
        if (entry && call.op == PTRACE_SYSCALL_INFO_ENTRY && (int)call.entry.nr == wanted)
            return 0;
        if (!entry && call.op == PTRACE_SYSCALL_INFO_EXIT && call.exit.rval == -EBADF)
            return 0;
    }
    fail("%d does not come to call %d", child, wanted);
}

int main(void)
{
    board = shared_memory(sizeof *board);
    pid_t child[9];
    long breakpoint = (long)step;

    // 0
    child[0] = start(0, traced_by_parent);
    expect_equal(await_stop(child[0]), SIGSTOP);
    must(ptrace(PTRACE_SETOPTIONS, child[0], 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL));
    long original = must(ptrace(PTRACE_PEEKTEXT, child[0], breakpoint, 0));
    must(ptrace(PTRACE_POKETEXT, child[0], breakpoint, (original & ~0xffL) | 0xcc));
    must(ptrace(PTRACE_POKEUSER, child[0], offsetof(struct user, u_debugreg[1]), (long)&which));
    must(ptrace(PTRACE_POKEUSER, child[0], offsetof(struct user, u_debugreg[7]), 0x4 | 0xfL << 20 | 1 << 10));
    must(ptrace(PTRACE_CONT, child[0], 0, 0));
    // Reading `which` trips the watchpoint: once is enough.
    int stop;
    while (stop = await_stop(child[0]), registers_of(child[0]).rip != (unsigned long)breakpoint + 1)
        must(ptrace(PTRACE_CONT, child[0], 0, 0));
    expect_equal(stop, SIGTRAP);
    struct user_regs_struct before0 = registers_of(child[0]);
    siginfo_t information0 = information_of(child[0]);
    long watch = must(ptrace(PTRACE_PEEKUSER, child[0], offsetof(struct user, u_debugreg[7]), 0));

    // 1
    child[1] = start(1, gets_a_signal);
    nap_ms(30);
    must(ptrace(PTRACE_SEIZE, child[1], 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT));
    must(sigqueue(child[1], SIGUSR2, (union sigval){.sival_int = 77}));
    await_state(child[1], 't');

    // 2, 3
    for (int i = 2; i < 4; i++) {
        child[i] = start(i, makes_calls);
        must(ptrace(PTRACE_SEIZE, child[i], 0, PTRACE_O_TRACESYSGOOD));
        must(ptrace(PTRACE_INTERRUPT, child[i], 0, 0));
        expect_equal(await_stop(child[i]) >> 8, PTRACE_EVENT_STOP);
        to_call(child[i], SYS_close, i == 2);
    }
    struct user_regs_struct before2 = registers_of(child[2]), before3 = registers_of(child[3]);

    // 4
    child[4] = start(4, sleeps);
    nap_ms(30);
    must(ptrace(PTRACE_SEIZE, child[4], 0, 0));
    must(ptrace(PTRACE_INTERRUPT, child[4], 0, 0));
    expect_equal(await_stop(child[4]) >> 8, PTRACE_EVENT_STOP);

    // 5
    child[5] = start(5, two_threads);
    while (atomic_load(&board->threads) == 0)
        nap_ms(1);
    pid_t threads[2] = {child[5], atomic_load(&board->threads)};
    for (int i = 0; i < 2; i++) {
        must(ptrace(PTRACE_ATTACH, threads[i], 0, 0));
        expect_equal(await_stop(threads[i]), SIGSTOP);
    }

    // 6, 7 and 8: one more stop was asked for while they stood at the entry and at the exit of a system call, and at a signal.
    for (int i = 6; i < 9; i++) {
        child[i] = start(i, makes_calls);
        must(ptrace(PTRACE_SEIZE, child[i], 0, PTRACE_O_TRACESYSGOOD));
        must(ptrace(PTRACE_INTERRUPT, child[i], 0, 0));
        expect_equal(await_stop(child[i]) >> 8, PTRACE_EVENT_STOP);
        if (i < 8) {
            to_call(child[i], SYS_close, i == 6);
        } else {
            must(kill(child[i], SIGURG));
            must(ptrace(PTRACE_CONT, child[i], 0, 0));
            expect_equal(await_stop(child[i]), SIGURG);
        }
        must(ptrace(PTRACE_INTERRUPT, child[i], 0, 0));
    }

    signal(SIGCHLD, on_news);
    news = 0;
    ready();
    wait_verify_through_signals();
    // None but that of child 1, whose stop was there before the handler was.
    expect(news <= 1);

    // 0: the same stop, once more the breakpoint, and its end.
    expect_nothing(child[0]);
    struct user_regs_struct after0 = registers_of(child[0]);
    expect(memcmp(&before0, &after0, sizeof before0) == 0);
    siginfo_t again = information_of(child[0]);
    expect(memcmp(&information0, &again, sizeof again) == 0);
    expect_equal(must(ptrace(PTRACE_PEEKUSER, child[0], offsetof(struct user, u_debugreg[1]), 0)), (long)&which);
    expect_equal(must(ptrace(PTRACE_PEEKUSER, child[0], offsetof(struct user, u_debugreg[7]), 0)), watch);
    errno = 0;
    expect(ptrace(PTRACE_INTERRUPT, child[0], 0, 0) == -1 && errno == EIO); // attached, not seized
    must(ptrace(PTRACE_POKEUSER, child[0], offsetof(struct user, u_debugreg[7]), 0));
    for (int i = 1; i < 3; i++) {
        // Over the breakpoint, as a debugger does it.
        must(ptrace(PTRACE_POKETEXT, child[0], breakpoint, original));
        after0.rip = breakpoint;
        struct iovec vector = {&after0, sizeof after0};
        must(ptrace(PTRACE_SETREGSET, child[0], 1, &vector));
        must(ptrace(PTRACE_SINGLESTEP, child[0], 0, 0));
        expect_equal(await_stop(child[0]), SIGTRAP);
        must(ptrace(PTRACE_POKETEXT, child[0], breakpoint, (original & ~0xffL) | 0xcc));
        must(ptrace(PTRACE_CONT, child[0], 0, 0));
        expect_equal(await_stop(child[0]), SIGTRAP);
        after0 = registers_of(child[0]);
        expect_equal(after0.rip, breakpoint + 1);
        expect_equal(atomic_load(&board->steps[0]), i);
    }
    must(ptrace(PTRACE_POKETEXT, child[0], breakpoint, original));
    after0.rip = breakpoint;
    struct iovec vector = {&after0, sizeof after0};
    must(ptrace(PTRACE_SETREGSET, child[0], 1, &vector));
    // A signal put into the place of the one that stopped it is taken with that.
    must(ptrace(PTRACE_CONT, child[0], 0, SIGUSR1));
    expect_exit(child[0], 40);
    expect_equal(atomic_load(&board->caught[0]) / 1000, SIGUSR1);

    // 1: the stop is heard of now, and the signal has its value; TRACEEXIT is still on.
    expect_equal(await_stop(child[1]), SIGUSR2);
    expect_equal(information_of(child[1]).si_value.sival_int, 77);
    expect_nothing(child[1]);
    must(ptrace(PTRACE_CONT, child[1], 0, SIGUSR2));
    expect_equal(await_stop(child[1]), SIGTRAP | PTRACE_EVENT_EXIT << 8);
    must(ptrace(PTRACE_CONT, child[1], 0, 0));
    expect_exit(child[1], 41);
    expect_equal(atomic_load(&board->caught[1]), SIGUSR2 * 1000 + 77);

    // 2, 3: from the entry to its exit, from the exit to the next entry, and on.
    for (int i = 2; i < 4; i++) {
        struct __ptrace_syscall_info call;
        struct user_regs_struct now = registers_of(child[i]);
        expect_nothing(child[i]);
        expect(memcmp(&now, i == 2 ? &before2 : &before3, sizeof now) == 0);
        must(ptrace(PTRACE_GET_SYSCALL_INFO, child[i], sizeof call, &call));
        expect_equal(call.op, i == 2 ? PTRACE_SYSCALL_INFO_ENTRY : PTRACE_SYSCALL_INFO_EXIT);
        must(ptrace(PTRACE_SYSCALL, child[i], 0, 0));
        expect_equal(await_stop(child[i]), SIGTRAP | 0x80);
        must(ptrace(PTRACE_GET_SYSCALL_INFO, child[i], sizeof call, &call));
        expect_equal(call.op, i == 2 ? PTRACE_SYSCALL_INFO_EXIT : PTRACE_SYSCALL_INFO_ENTRY);
        if (i == 2)
            expect_equal(call.exit.rval, -EBADF);
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        expect_exit(child[i], 40 + i);
        expect_equal(atomic_load(&board->steps[i]), 10);
    }

    // 4: its sleep goes on.
    expect_nothing(child[4]);
    expect_equal(information_of(child[4]).si_code >> 8, PTRACE_EVENT_STOP);
    must(ptrace(PTRACE_CONT, child[4], 0, 0));
    must(ptrace(PTRACE_INTERRUPT, child[4], 0, 0)); // seized
    expect_equal(await_stop(child[4]) >> 8, PTRACE_EVENT_STOP);
    must(ptrace(PTRACE_DETACH, child[4], 0, 0));
    expect_exit(child[4], 44);
    expect_equal(atomic_load(&board->steps[4]), 1);

    // 5: both threads stand still until they are let go.
    atomic_store(&board->caught[5], 1);
    nap_through_signals_ms(20);
    for (int i = 0; i < 2; i++) {
        expect_nothing(threads[i]);
        expect_equal(information_of(threads[i]).si_signo, SIGSTOP);
    }
    for (int i = 0; i < 2; i++)
        must(ptrace(PTRACE_DETACH, threads[i], 0, 0));
    expect_exit(child[5], 45);

    // 6, 7 and 8: the stop comes when they are let go, and only once. A call that was entered is made before, or its exit is that stop.
    for (int i = 6; i < 9; i++) {
        expect_nothing(child[i]);
        must(ptrace(i == 6 ? PTRACE_SYSCALL : PTRACE_CONT, child[i], 0, 0));
        int next = await_stop(child[i]);
        if (i == 6)
            expect_equal(next, SIGTRAP | 0x80);
        else
            expect_equal(next >> 8, PTRACE_EVENT_STOP);
        must(ptrace(PTRACE_CONT, child[i], 0, 0));
        expect_exit(child[i], 40 + i);
        expect_equal(atomic_load(&board->steps[i]), 10);
    }
    ok();
}
