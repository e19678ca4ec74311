// driven: by CommandLineTests, as only a freeze shows it
// A program with a keyring of its process.
#include "victim.h"
#include <linux/keyctl.h>

int main(void)
{
    must(syscall(SYS_add_key, "user", "secret", "value", 5, KEY_SPEC_PROCESS_KEYRING));
    ready();
    wait_verify();
    ok();
}
