// Threads that have parted from their process's working directory, root and umask (unshare, CLONE_FS).
#include "victim.h"

enum { THREADS = 3 };
static atomic_int started;
static atomic_bool verify;

static void *run(void *argument)
{
    int number = (int)(long)argument;
    char name[16], where[PATH_MAX], before[PATH_MAX];
    snprintf(name, sizeof name, "dir%d", number);
    must(syscall(SYS_unshare, CLONE_FS));
    mkdir(name, 0777);
    must(chdir(name));
    if (number == 2)
        must(chroot("."));
    umask(0100 + number);
    expect(getcwd(before, sizeof before) != NULL);
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&verify))
        nap_ms(2);
    expect(getcwd(where, sizeof where) != NULL);
    expect(strcmp(where, before) == 0);
    if (number == 2)
        expect(strcmp(where, "/") == 0);
    expect_equal(umask(0), 0100 + number);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    umask(022);
    for (long i = 0; i < THREADS; i++)
        must_zero(pthread_create(&threads[i], NULL, run, (void *)i));
    while (atomic_load(&started) < THREADS)
        nap_ms(1);
    ready();
    wait_verify();
    atomic_store(&verify, true);
    for (int i = 0; i < THREADS; i++)
        must_zero(pthread_join(threads[i], NULL));
    expect_equal(umask(0), 022);
    ok();
}
