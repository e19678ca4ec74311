// The audit login id, which login programs set and only the task itself can; of a thread, another one.
#include "victim.h"

static atomic_int phase;

static long login(void)
{
    char *text = read_all("/proc/thread-self/loginuid", NULL);
    long id = strtol(text, NULL, 10);
    free(text);
    return id;
}

static bool set_login(const char *id)
{
    int fd = open("/proc/thread-self/loginuid", O_WRONLY | O_CLOEXEC);
    bool set = fd >= 0 && write(fd, id, strlen(id)) == (ssize_t)strlen(id);
    if (fd >= 0)
        close(fd);
    return set;
}

static void *run(void *unused)
{
    long wanted = set_login("4343") ? 4343 : login();
    atomic_store(&phase, 1);
    while (atomic_load(&phase) == 1)
        nap_ms(2);
    expect_equal(login(), wanted);
    return unused;
}

int main(void)
{
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, run, NULL));
    while (atomic_load(&phase) == 0)
        nap_ms(1);
    if (!set_login("4242"))
        skip("the audit login id can't be set here");
    ready();
    wait_verify();
    expect_equal(login(), 4242);
    atomic_store(&phase, 2);
    must_zero(pthread_join(thread, NULL));
    ok();
}
