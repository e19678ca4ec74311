// scale: 10,000 descriptors
#include "victim.h"
#include <sys/eventfd.h>

enum { FDS = 10000 };

int main(void)
{
    static int fds[FDS];
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max < FDS + 100 ? limit.rlim_max : FDS + 100;
    must(setrlimit(RLIMIT_NOFILE, &limit));
    int count = limit.rlim_cur < FDS + 100 ? (int)limit.rlim_cur - 100 : FDS;
    int file = must(open("file", O_RDWR | O_CREAT, 0666));
    must(ftruncate(file, FDS));
    // Four kinds: own descriptions of one file, duplicates, eventfds, pipes.
    for (int i = 0; i < count; i++) {
        int ends[2];
        switch (i % 4) {
        case 0: fds[i] = must(open("file", O_RDONLY)); must(lseek(fds[i], i, SEEK_SET)); break;
        case 1: fds[i] = must(dup(fds[i - 1])); break;
        case 2: fds[i] = must(eventfd(i, EFD_NONBLOCK)); break;
        case 3:
            if (i % 8 == 3 && i + 4 < count) {
                must(pipe(ends));
                fds[i] = ends[0];
                fds[i + 4] = ends[1];
                must(write(ends[1], &i, sizeof i));
            } else if (fds[i] == 0) {
                fds[i] = must(open("/dev/null", O_RDWR));
            }
        }
    }
    ready();
    wait_verify();
    for (int i = 0; i < count; i++) {
        eventfd_t value;
        int got;
        switch (i % 4) {
        case 0: expect_equal(must(lseek(fds[i], 0, SEEK_CUR)), i); break;
        case 1: expect_equal(must(lseek(fds[i], 0, SEEK_CUR)), i - 1); break;
        case 2: must(eventfd_read(fds[i], &value)); expect_equal(value, i); break;
        case 3:
            if (i % 8 == 3 && i + 4 < count) {
                expect_equal(must(read(fds[i], &got, sizeof got)), sizeof got);
                expect_equal(got, i);
            }
        }
    }
    ok();
}
