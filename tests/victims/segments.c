// driven: by CommandLineTests, as only a freeze shows it
// A program with a table of segments of its own (modify_ldt), as 16-bit code under wine has it.
#include "victim.h"
#include <asm/ldt.h>

int main(void)
{
    static int place;
    struct user_desc segment = {.base_addr = (unsigned)(long)&place, .limit = 4096, .seg_32bit = 1, .useable = 1};
    if (syscall(SYS_modify_ldt, 1, &segment, sizeof segment) != 0)
        skip("this kernel or cage has no modify_ldt");
    ready();
    wait_verify();
    ok();
}
