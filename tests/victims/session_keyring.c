// driven: by CommandLineTests, as it is told and not refused
// A program with a session keyring of its own and two keys in it, which nobody can carry: the faithfulness report tells.
#include "victim.h"
#include <linux/keyctl.h>

int main(void)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
        skip("this kernel or cage has no keys");
    must(syscall(SYS_add_key, "user", "one", "value", 5, KEY_SPEC_SESSION_KEYRING));
    must(syscall(SYS_add_key, "user", "two", "value", 5, KEY_SPEC_SESSION_KEYRING));
    ready();
    wait_verify();
    ok();
}
