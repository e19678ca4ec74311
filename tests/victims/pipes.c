// Pipes: content, capacity, O_NONBLOCK, packet mode, ends in different processes, an end closed with data left.
#include "victim.h"
#include <sys/ioctl.h>

static void child(int to_child, int from_child)
{
    char text[64];
    // Blocked in read from before the checkpoint until the parent writes after the restart.
    ssize_t got = read(to_child, text, sizeof text);
    if (got < 0)
        fail("the read of a pipe: %s", strerror(errno));
    expect(got == 5 && memcmp(text, "later", 5) == 0);
    expect_equal(must(read(to_child, text, sizeof text)), 0);
    expect_equal(must(write(from_child, "answer", 6)), 6);
    _exit(0);
}

int main(void)
{
    int full[2], packet[2], quiet[2], left[2], to_child[2], from_child[2], large[2];
    char text[8192];
    must(pipe(full));
    must(fcntl(full[1], F_SETPIPE_SZ, 16384));
    fill(text, sizeof text, 1);
    must(write(full[1], text, 4001));
    must(write(full[1], text + 4001, 4191));

    must(pipe2(packet, O_DIRECT));
    must(write(packet[1], "one", 3));
    must(write(packet[1], "three", 5));
    must(write(packet[1], "x", 1));

    must(pipe2(quiet, O_NONBLOCK | O_CLOEXEC));
    must(pipe(left));
    must(write(left[1], "left over", 9));
    must(close(left[1]));

    must(pipe(large));
    must(fcntl(large[1], F_SETPIPE_SZ, 1 << 20));
    char *megabyte = malloc(1 << 20), *back = malloc(1 << 20);
    fill(megabyte, 1 << 20, 9);
    expect_equal(must(write(large[1], megabyte, 1 << 20)), 1 << 20);

    must(pipe(to_child));
    must(pipe(from_child));
    pid_t pid = must(fork());
    if (pid == 0) {
        close(to_child[1]);
        close(from_child[0]);
        child(to_child[0], from_child[1]);
    }
    close(to_child[0]);
    close(from_child[1]);
    nap_ms(10);
    ready();
    wait_verify();

    int waiting;
    must(ioctl(full[0], FIONREAD, &waiting));
    expect_equal(waiting, 8192);
    expect_equal(must(fcntl(full[0], F_GETPIPE_SZ)), 16384);
    char got[8192];
    expect_equal(must(read(full[0], got, 8192)), 8192);
    expect(memcmp(got, text, 8192) == 0);

    expect(must(fcntl(packet[1], F_GETFL)) & O_DIRECT);
    expect_equal(must(read(packet[0], got, 100)), 3);
    expect_equal(must(read(packet[0], got, 100)), 5);
    expect_equal(must(read(packet[0], got, 100)), 1);

    expect(read(quiet[0], got, 1) == -1 && errno == EAGAIN);
    expect(must(fcntl(quiet[0], F_GETFD)) & FD_CLOEXEC);
    must(write(quiet[1], "q", 1));
    expect_equal(must(read(quiet[0], got, 5)), 1);

    expect_equal(must(read(left[0], got, 100)), 9);
    expect_equal(must(read(left[0], got, 100)), 0);

    for (size_t done = 0; done < 1 << 20;)
        done += must(read(large[0], back + done, (1 << 20) - done));
    expect(memcmp(megabyte, back, 1 << 20) == 0);

    must(write(to_child[1], "later", 5));
    must(close(to_child[1]));
    expect_equal(must(read(from_child[0], got, 100)), 6);
    reap_success(pid);
    expect_equal(must(read(from_child[0], got, 100)), 0);
    ok();
}
