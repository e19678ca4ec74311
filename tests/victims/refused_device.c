// refused: /dev/
// An open device with a state of its own.
#include "victim.h"

int main(void)
{
    static const char *const devices[] = {"/dev/kmsg", "/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/hwrng"};
    int fd = -1;
    for (int i = 0; fd < 0 && i < 5; i++)
        fd = open(devices[i], O_RDWR);
    if (fd < 0)
        skip("no such device here");
    ready();
    wait_verify();
    expect(fcntl(fd, F_GETFD) >= 0);
    ok();
}
