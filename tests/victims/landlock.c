// driven: by CommandLineTests, as only a freeze shows it
// A program that has confined itself by Landlock: as root, or, told so by VICTIM_USER, as a user without any privilege.
#include "victim.h"
#include <linux/landlock.h>

int main(void)
{
    struct landlock_ruleset_attr attributes = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK};
    if (getenv("VICTIM_USER")) {
        must(chmod(".", 0777));
        must(setgid(4711));
        must(setuid(4711));
    }
    int ruleset = syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (ruleset < 0)
        skip("there is no Landlock in this kernel");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    must(syscall(SYS_landlock_restrict_self, ruleset, 0));
    must(close(ruleset));
    ready();
    wait_verify();
    ok();
}
