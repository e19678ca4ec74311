// refused: inside vfork
// A process that waits in vfork for a child which neither ends nor executes anything: it cannot be stopped.
#include "victim.h"

static void *parent(void *unused)
{
    pid_t pid = vfork();
    if (pid == 0) {
        while (access("verify", F_OK) != 0)
            usleep(5000);
        _exit(9);
    }
    int status;
    expect_equal(must(waitpid(pid, &status, 0)), pid);
    expect_equal(status, 9 << 8);
    return unused;
}

int main(void)
{
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, parent, NULL));
    nap_ms(20);
    ready();
    wait_verify();
    must_zero(pthread_join(thread, NULL));
    ok();
}
