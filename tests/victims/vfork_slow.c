// snapshot: no children come and go
// A thread that always waits in vfork: each of its children takes a moment before it executes something. It is waited for,
// and no child is lost or counted twice.
#include "victim.h"
#include <spawn.h>

static atomic_bool stop;
static atomic_int spawned, ended;

static void *parent(void *unused)
{
    while (!atomic_load(&stop)) {
        pid_t pid = vfork();
        if (pid == 0) {
            usleep(60 * 1000);
            execl("/bin/true", "true", (char *)NULL);
            _exit(9);
        }
        must(pid);
        atomic_fetch_add(&spawned, 1);
        int status;
        expect_equal(must(waitpid(pid, &status, 0)), pid);
        expect_equal(status, 0);
        atomic_fetch_add(&ended, 1);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, parent, NULL));
    nap_ms(20);
    ready();
    wait_verify();
    nap_ms(100);
    atomic_store(&stop, true);
    must_zero(pthread_join(thread, NULL));
    expect(atomic_load(&spawned) > 1);
    expect_equal(atomic_load(&spawned), atomic_load(&ended));
    ok();
}
