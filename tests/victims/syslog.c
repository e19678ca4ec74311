// driven: by tests/Stasis.ProcessTests/OutsideSocketTests.cs
// syslog(3) to a daemon outside of the tree, before and after; it must get through again also when the daemon was away meanwhile.
#include "victim.h"
#include <syslog.h>

int main(void)
{
    openlog("victim", LOG_NDELAY, LOG_USER);
    syslog(LOG_INFO, "before");
    ready();
    wait_verify();
    for (int i = 0; access("heard", F_OK) != 0; i++) {
        syslog(LOG_INFO, "after");
        nap_ms(20);
        if (i > 500)
            fail("nobody hears");
    }
    ok();
}
