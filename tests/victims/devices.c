// The devices without a state: null, zero, full, random, urandom.
#include "victim.h"

int main(void)
{
    char bytes[64], other[64];
    int null = must(open("/dev/null", O_RDWR)), zero = must(open("/dev/zero", O_RDONLY)), full = must(open("/dev/full", O_WRONLY)),
        random = must(open("/dev/random", O_RDONLY | O_NONBLOCK)), urandom = must(open("/dev/urandom", O_RDONLY | O_CLOEXEC));
    must(read(zero, bytes, 10));
    ready();
    wait_verify();
    expect_equal(must(write(null, "x", 1)), 1);
    expect_equal(must(read(null, bytes, 1)), 0);
    memset(bytes, 1, sizeof bytes);
    expect_equal(must(read(zero, bytes, 64)), 64);
    for (int i = 0; i < 64; i++)
        expect(bytes[i] == 0);
    expect(write(full, "x", 1) == -1 && errno == ENOSPC);
    expect_equal(must(read(urandom, bytes, 64)), 64);
    expect_equal(must(read(random, other, 64)), 64);
    expect(memcmp(bytes, other, 64) != 0);
    expect(must(fcntl(random, F_GETFL)) & O_NONBLOCK);
    expect_equal(must(fcntl(urandom, F_GETFD)), FD_CLOEXEC);
    ok();
}
