// driven: by CommandLineTests, as only a freeze shows it
// A program that has its system calls sent to its SIGSYS handler all the time, but those from the C library: ours would go there too.
#include "victim.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

int main(void)
{
    static char selector = 1; // SYSCALL_DISPATCH_FILTER_BLOCK
    unsigned long start, end, from = 0, to = 0;
    char line[512], name[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %255s", &start, &end, name) == 3 && strstr(name, "/libc.so.6")) {
            from = from ? from : start;
            to = end;
        }
    fclose(maps);
    expect(from != 0);
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, from, to - from, &selector) != 0)
        skip("this kernel has no syscall user dispatch");
    ready();
    wait_verify();
    ok();
}
