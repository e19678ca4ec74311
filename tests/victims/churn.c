// snapshot: no it makes and ends processes and threads all the time
// Processes and threads begin and end all the time while the checkpoint is taken: each child's exit code and each
// thread's result comes back as it should, and mappings come and go.
#include "victim.h"

static atomic_bool stop;
static atomic_ulong *rounds;

static void *brief(void *argument)
{
    uint64_t words[64];
    fill(words, sizeof words, (long)argument);
    sched_yield();
    return filled(words, sizeof words, (long)argument) ? argument : NULL;
}

static void *threads(void *unused)
{
    for (long i = 1; !atomic_load(&stop); i++) {
        pthread_t thread;
        void *result;
        must_zero(pthread_create(&thread, NULL, brief, (void *)i));
        must_zero(pthread_join(thread, &result));
        expect_equal((long)result, i);
        atomic_fetch_add(&rounds[0], 1);
        nap_ms(i % 3 == 0);
    }
    return unused;
}

static void *processes(void *unused)
{
    for (int i = 0; !atomic_load(&stop); i++) {
        pid_t pid = must(fork());
        if (pid == 0) {
            if (i % 4 == 0)
                usleep(500);
            // Every third has a child itself, and some leave it behind: it comes to the subreaper.
            if (i % 3 == 0 && must(fork()) == 0) {
                usleep(i % 5 * 300);
                _exit(0);
            }
            if (i % 7 == 0)
                execl("/proc/self/exe", "churn", "again", NULL);
            _exit(i & 127);
        }
        int status;
        expect_equal(must(waitpid(pid, &status, 0)), pid);
        if (status != (i % 7 == 0 ? 99 : i & 127) << 8)
            fail("child %d of round %d ended with 0x%x", pid, i, status);
        // Orphans, if any have ended.
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        atomic_fetch_add(&rounds[1], 1);
    }
    return unused;
}

static void *mappings(void *unused)
{
    for (uint64_t i = 0; !atomic_load(&stop); i++) {
        size_t size = 4096 * (i % 50 + 1);
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        expect(memory != MAP_FAILED);
        fill(memory, size, i);
        must(mprotect(memory, 4096, PROT_READ));
        expect(filled(memory, size, i));
        must(munmap(memory, size));
        int fd = must(open("/dev/null", O_RDONLY | O_CLOEXEC));
        must(close(fd));
        atomic_fetch_add(&rounds[2], 1);
        nap_ms(i % 5 == 0);
    }
    return unused;
}

int main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1)
        _exit(99);
    static void *(*const kinds[])(void *) = {threads, processes, mappings};
    pthread_t ids[3];
    rounds = shared_memory(4096);
    must(prctl(PR_SET_CHILD_SUBREAPER, 1));
    must(setpriority(PRIO_PROCESS, 0, 5));
    for (int i = 0; i < 3; i++)
        must_zero(pthread_create(&ids[i], NULL, kinds[i], NULL));
    for (int i = 0; i < 3; i++)
        while (atomic_load(&rounds[i]) < 20)
            nap_ms(1);
    ready();
    wait_verify();
    for (int i = 0; i < 3; i++) {
        unsigned long before = atomic_load(&rounds[i]);
        for (int tries = 0; atomic_load(&rounds[i]) < before + 5; tries++) {
            if (tries == 3000)
                fail("kind %d stands still", i);
            nap_ms(1);
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        must_zero(pthread_join(ids[i], NULL));
    ok();
}
