// Users and groups: real, effective, saved and file-system ids that all differ, extra groups, and a child with others.
#include "victim.h"
#include <grp.h>
#include <sys/fsuid.h>

static char *lines(void)
{
    char *text = read_all("/proc/self/status", NULL), *result = calloc(1, 4096), *line, *rest = text;
    static const char *const wanted[] = {"Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:"};
    while ((line = strsep(&rest, "\n")) != NULL)
        for (int i = 0; i < 9; i++)
            if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
                strcat(strcat(result, line), " ");
    free(text);
    return result;
}

static void check(const char *before)
{
    char *after = lines();
    if (strcmp(before, after) != 0)
        fail("%.230s was %.230s", after, before);
}

int main(void)
{
    static const gid_t groups[] = {7, 1003, 100000, 4000000000};
    must(chmod(".", 0777));
    umask(0);
    pid_t plain = must(fork());
    if (plain == 0) {
        // A user without any right, no way back.
        must(setgroups(0, NULL));
        must(setresgid(1234, 1234, 1234));
        must(setresuid(1234, 1234, 1234));
        char *before = lines();
        say("child-ready", "x");
        wait_verify();
        check(before);
        expect(setuid(0) == -1 && errno == EPERM);
        _exit(0);
    }
    while (access("child-ready", F_OK) != 0)
        nap_ms(1);
    must(setgroups(4, groups));
    must(setresgid(10, 11, 12));
    must(setresuid(20, 21, 0));
    // Allowed, for the saved user id is 0's: only the file-system id of all four can be set to one of the others.
    setfsuid(20);
    setfsgid(10);
    char *before = lines();
    ready();
    wait_verify();
    check(before);
    reap_success(plain);
    must(seteuid(0));
    ok();
}
