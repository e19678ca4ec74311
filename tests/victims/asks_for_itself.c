// A program of several threads that asks for its own checkpoint, again in each life, and counts: asks_for_itself STASIS LIVES.
// driven: by SelfRequestTests, which says where stasis is
#include "victim.h"
#include <spawn.h>
#include <sys/pidfd.h>

extern char **environ;

enum { THREADS = 3, RESTARTED = 10 };

static atomic_long turns[THREADS];
static atomic_int children_told;
static atomic_bool over;

// Each keeps its own sum in a register and in memory, and compares.
static void *work(void *argument)
{
    atomic_long *own = argument;
    long sum = 0;
    while (!atomic_load(&over)) {
        sum++;
        atomic_store(own, sum);
        if (atomic_load(own) != sum)
            fail("a thread lost its count");
    }
    return NULL;
}

static void on_child(int signal)
{
    (void)signal;
    atomic_fetch_add(&children_told, 1);
}

// The exit code of a checkpoint of ourselves; waited for by a handle of the command.
static int ask(const char *stasis, int life)
{
    char pid[16], image[32];
    sprintf(pid, "%d", getpid());
    sprintf(image, "image%d", life);
    char *arguments[] = {(char *)stasis, "checkpoint", pid, "-o", image, "--quiet", NULL};
    pid_t child;
    must_zero(posix_spawn(&child, stasis, NULL, NULL, arguments, environ));
    int handle = (int)must(pidfd_open(child, 0));
    struct pollfd end = {.fd = handle, .events = POLLIN};
    while (poll(&end, 1, -1) == -1)
        expect(errno == EINTR); // by SIGCHLD
    int status;
    must(waitpid(child, &status, 0));
    expect(WIFEXITED(status));
    close(handle);
    return WEXITSTATUS(status);
}

int main(int count, char **arguments)
{
    expect(count == 3);
    struct sigaction action = {.sa_handler = on_child};
    must(sigaction(SIGCHLD, &action, NULL));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, work, &turns[i]));
    for (int life = 1; life <= atoi(arguments[2]); life++) {
        int told = atomic_load(&children_told), code = ask(arguments[1], life);
        if (code == 0)
            return 3; // the next life is a restart's
        if (code != RESTARTED)
            fail("life %d: the command ended with %d", life, code);
        for (int i = 0; i < 1000 && atomic_load(&children_told) == told; i++)
            nap_ms(10);
        expect_equal(atomic_load(&children_told), told + 1);
    }
    long before[THREADS];
    for (int i = 0; i < THREADS; i++)
        before[i] = atomic_load(&turns[i]);
    for (int i = 0; i < THREADS; i++)
        while (atomic_load(&turns[i]) == before[i])
            nap_ms(1);
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
