// Processes and threads that wait in open(2) of a FIFO for somebody at its other end, both ways.
#include "victim.h"

static void *open_to_read(void *name)
{
    char text[10];
    int end = must(open(name, O_RDONLY));
    expect_equal(must(read(end, text, sizeof text)), 5);
    expect(memcmp(text, "hello", 5) == 0);
    expect_equal(must(read(end, text, sizeof text)), 0);
    close(end);
    return NULL;
}

int main(void)
{
    must(mkfifo("one", 0600));
    must(mkfifo("two", 0600));
    must(mkfifo("three", 0600));
    pid_t reader = must(fork());
    if (reader == 0) {
        open_to_read("one");
        _exit(0);
    }
    pid_t writer = must(fork());
    if (writer == 0) {
        int end = must(open("two", O_WRONLY));
        must(write(end, "there", 5));
        _exit(0);
    }
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, open_to_read, "three"));
    nap_ms(20);
    // Who waits for a writer is a reader already.
    ready();
    wait_verify();
    expect(waitpid(-1, NULL, WNOHANG) == 0);
    for (int i = 0; i < 2; i++) {
        int end = must(open(i == 0 ? "one" : "three", O_WRONLY));
        must(write(end, "hello", 5));
        close(end);
    }
    char text[10];
    int end = must(open("two", O_RDONLY));
    expect_equal(must(read(end, text, sizeof text)), 5);
    expect(memcmp(text, "there", 5) == 0);
    reap_success(reader);
    reap_success(writer);
    must_zero(pthread_join(thread, NULL));
    ok();
}
