// FIFOs with content: opened both ways, in two processes, one with its name deleted.
#include "victim.h"

int main(void)
{
    char text[100];
    must(mkfifo("fifo", 0666));
    int both = must(open("fifo", O_RDWR));
    must(write(both, "waiting", 7));
    must(mkfifo("nameless", 0666));
    int nameless = must(open("nameless", O_RDWR | O_NONBLOCK));
    must(write(nameless, "without a name", 14));
    must(unlink("nameless"));
    must(mkfifo("between", 0666));
    pid_t pid = must(fork());
    if (pid == 0) {
        int end = must(open("between", O_WRONLY));
        must(write(end, "early", 5));
        while (!told_to_verify())
            nap_ms(3);
        must(write(end, "late", 4));
        _exit(0);
    }
    int end = must(open("between", O_RDONLY));
    int waiting = 0;
    while (waiting < 5)
        must(ioctl(end, FIONREAD, &waiting));
    ready();
    wait_verify();
    expect_equal(must(read(both, text, 100)), 7);
    expect(memcmp(text, "waiting", 7) == 0);
    // Another process that opens the name meets this one.
    int again = must(open("fifo", O_WRONLY | O_NONBLOCK));
    must(write(again, "again", 5));
    expect_equal(must(read(both, text, 100)), 5);
    expect_equal(must(read(nameless, text, 100)), 14);
    expect(read(nameless, text, 1) == -1 && errno == EAGAIN);
    reap_success(pid);
    expect_equal(must(read(end, text, 100)), 9);
    expect(memcmp(text, "earlylate", 9) == 0);
    expect_equal(must(read(end, text, 100)), 0);
    ok();
}
