// Processes that share without being threads: memory, signal handlers, directories and descriptors, alone and together,
// with the parent and among siblings.
#include "victim.h"

enum { ALL, MEMORY, PLACES, HANDLERS, CHILDREN };
static const int flags[CHILDREN] = {
    [ALL] = CLONE_VM | CLONE_SIGHAND | CLONE_FS | CLONE_FILES,
    [MEMORY] = CLONE_VM,
    [PLACES] = CLONE_FS,
    [HANDLERS] = CLONE_VM | CLONE_SIGHAND,
};
static atomic_int counters[CHILDREN], *across;
static char stacks[CHILDREN][64 * 1024] __attribute__((aligned(64)));
static pid_t children[CHILDREN];

static void handler(int signal)
{
    (void)signal;
}

static int child(void *argument)
{
    int number = (int)(long)argument;
    // Its own: a child without CLONE_SIGHAND changes nothing for the others, in its own memory or not.
    if (number == MEMORY)
        signal(SIGUSR2, SIG_IGN);
    atomic_int *counter = number == PLACES ? across : &counters[number];
    struct timespec pause = {0, 1000000};
    // No function of the C library that needs a thread's own memory: it is the parent's.
    while (atomic_load(&across[1]) == 0) {
        atomic_fetch_add(counter, 1);
        syscall(SYS_nanosleep, &pause, NULL);
    }
    if (number == PLACES) {
        syscall(SYS_chdir, "..");
        syscall(SYS_umask, 0123);
    }
    if (number == ALL)
        syscall(SYS_close, 40);
    if (number == HANDLERS)
        signal(SIGUSR1, SIG_IGN);
    syscall(SYS_exit, 10 + number);
    return 0;
}

int main(void)
{
    across = shared_memory(4096);
    mkdir("down", 0777);
    must(chdir("down"));
    umask(0077);
    must(dup2(1, 40));
    must(dup2(1, 41));
    signal(SIGUSR1, handler);
    signal(SIGUSR2, handler);
    for (long i = 0; i < CHILDREN; i++)
        children[i] = must(clone(child, stacks[i] + sizeof stacks[i], flags[i] | SIGCHLD, (void *)i));
    for (int i = 0; i < CHILDREN; i++)
        while (atomic_load(i == PLACES ? across : &counters[i]) == 0)
            nap_ms(1);
    // Their working directory is this process's, which the driver does not know: its files are one up.
    int fd = must(open("../ready", O_CREAT | O_WRONLY, 0666));
    must(write(fd, "ready", 5));
    must(close(fd));
    struct stat status;
    while (stat("../verify", &status) != 0 || status.st_size == 0)
        nap_ms(5);
    int before[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        before[i] = atomic_load(i == PLACES ? across : &counters[i]);
    nap_ms(50);
    for (int i = 0; i < CHILDREN; i++)
        if (atomic_load(i == PLACES ? across : &counters[i]) == before[i])
            fail("child %d does not count any more", i);
    must(fcntl(40, F_GETFD));
    atomic_store(&across[1], 1);
    for (int i = 0; i < CHILDREN; i++) {
        int ended;
        expect_equal(must(waitpid(children[i], &ended, 0)), children[i]);
        expect_equal(ended, (10 + i) << 8);
    }
    // What each changed has changed for this process, and nothing else has.
    expect(access("verify", F_OK) == 0);
    expect_equal(umask(0), 0123);
    expect_equal(fcntl(40, F_GETFD), -1);
    must(fcntl(41, F_GETFD));
    struct sigaction action;
    must(sigaction(SIGUSR1, NULL, &action));
    expect(action.sa_handler == SIG_IGN);
    must(sigaction(SIGUSR2, NULL, &action));
    expect(action.sa_handler == handler);
    ok();
}
