// Capabilities: permitted, effective, inheritable, ambient and bounding sets, securebits, no_new_privs, of two threads.
#include "victim.h"
#include <linux/capability.h>
#include <linux/securebits.h>

static atomic_int started;
static atomic_bool go;

static char *lines(void)
{
    char *text = read_all("/proc/thread-self/status", NULL), *result = calloc(1, 4096), *line, *rest = text;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (strncmp(line, "Cap", 3) == 0 || strncmp(line, "NoNewPrivs", 10) == 0)
            strcat(strcat(result, line), " ");
    free(text);
    return result;
}

static void set(uint64_t permitted, uint64_t effective, uint64_t inheritable)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{effective, permitted, inheritable}, {effective >> 32, permitted >> 32, inheritable >> 32}};
    must(syscall(SYS_capset, &header, data));
}

static void *other(void *unused)
{
    // Fewer than the main thread has.
    set(1 << CAP_KILL | 1 << CAP_CHOWN, 1 << CAP_KILL, 1 << CAP_CHOWN);
    must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    char *before = lines();
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&go))
        nap_ms(5);
    char *after = lines();
    if (strcmp(before, after) != 0)
        fail("the second thread: %.230s was %.230s", after, before);
    return unused;
}

int main(void)
{
    pthread_t thread;
    must(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0));
    must(prctl(PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0));
    must(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED, 0, 0, 0));
    must_zero(pthread_create(&thread, NULL, other, NULL));
    while (atomic_load(&started) < 1)
        nap_ms(1);
    uint64_t kept = 1 << CAP_KILL | 1 << CAP_CHOWN | 1 << CAP_NET_ADMIN | 1 << CAP_SETUID;
    set(kept, kept & ~(1UL << CAP_NET_ADMIN), 1 << CAP_NET_ADMIN);
    must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0));
    char *before = lines();
    ready();
    wait_verify();
    char *after = lines();
    if (strcmp(before, after) != 0)
        fail("%.230s was %.230s", after, before);
    expect_equal(prctl(PR_GET_SECUREBITS), SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED);
    expect_equal(prctl(PR_CAPBSET_READ, CAP_SYS_TIME), 0);
    expect_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    atomic_store(&go, true);
    must_zero(pthread_join(thread, NULL));
    ok();
}
