// An open directory goes on listing where it was; every name comes exactly once.
#include "victim.h"
#include <dirent.h>

enum { FILES = 200 };

int main(void)
{
    char name[32];
    bool seen[FILES] = {false};
    must(mkdir("many", 0777));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "many/%d", i);
        close(must(open(name, O_CREAT | O_WRONLY, 0666)));
    }
    int fd = must(open("many", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;
    // In small pieces, so that the kernel's position and not the buffer of libc is what counts.
    char piece[512] __attribute__((aligned(8)));
    int found = 0;
    for (bool told = false;;) {
        long got = must(syscall(SYS_getdents64, fd, piece, sizeof piece));
        if (got == 0)
            break;
        for (long at = 0; at < got; at += entry->d_reclen) {
            entry = (struct dirent *)(piece + at);
            if (entry->d_name[0] == '.')
                continue;
            int number = atoi(entry->d_name);
            expect(number >= 0 && number < FILES && !seen[number]);
            seen[number] = true;
            found++;
        }
        if (!told && found > 50) {
            told = true;
            ready();
            wait_verify();
        }
    }
    expect_equal(found, FILES);
    ok();
}
