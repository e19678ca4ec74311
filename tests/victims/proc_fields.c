// What ps and /proc show: a command line that was rewritten, environment, executable, auxiliary vector, name, and the
// fields that prctl(PR_SET_MM) sets.
#include "victim.h"
#include <sys/auxv.h>

static char *files[] = {"/proc/self/cmdline", "/proc/self/environ", "/proc/self/auxv", "/proc/self/comm"};

static unsigned long field(char *stat, int number)
{
    char *at = strrchr(stat, ')') + 1;
    for (int i = 3; i < number; i++)
        at = strchr(at + 1, ' ');
    return strtoul(at, NULL, 10);
}

int main(int count, char **arguments)
{
    (void)count;
    // As setproctitle does it: over the arguments and into the environment behind them.
    size_t room = strlen(arguments[0]);
    memset(arguments[0], 'x', room);
    memcpy(arguments[0], "v:", 2);
    must(prctl(PR_SET_NAME, "renamed (a) b"));
    size_t length[4], again;
    char *before[4], exe[4096] = {0}, exe_after[4096] = {0};
    for (int i = 0; i < 4; i++)
        before[i] = read_all(files[i], &length[i]);
    must(readlink("/proc/self/exe", exe, sizeof exe - 1));
    char *stat = read_all("/proc/self/stat", NULL);
    unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
    ready();
    wait_verify();
    for (int i = 0; i < 4; i++) {
        char *after = read_all(files[i], &again);
        if (again != length[i] || memcmp(before[i], after, again) != 0)
            fail("%s is %zu bytes '%.60s', was %zu bytes '%.60s'", files[i], again, after, length[i], before[i]);
    }
    must(readlink("/proc/self/exe", exe_after, sizeof exe_after - 1));
    if (strcmp(exe, exe_after) != 0)
        fail("/proc/self/exe is %.100s, was %.100s", exe_after, exe);
    char *stat_after = read_all("/proc/self/stat", NULL);
    // Start and end of code, stack, data, heap, arguments, environment.
    static const int fields[] = {26, 27, 28, 45, 46, 47, 48, 49, 50, 51};
    for (int i = 0; i < 10; i++)
        if (field(stat, fields[i]) != field(stat_after, fields[i]))
            fail("field %d of stat is %lx, was %lx", fields[i], field(stat_after, fields[i]), field(stat, fields[i]));
    expect_equal(getauxval(AT_SYSINFO_EHDR), vdso);
    expect(memcmp((void *)vdso, "\177ELF", 4) == 0);
    // Through the vdso and through the kernel: the same clock.
    struct timespec fast, slow;
    must(clock_gettime(CLOCK_MONOTONIC, &fast));
    must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &slow));
    int64_t difference = (slow.tv_sec - fast.tv_sec) * 1000000000LL + slow.tv_nsec - fast.tv_nsec;
    if (difference < 0 || difference > 500000000)
        fail("the vdso's clock is %ld ns off", difference);
    ok();
}
