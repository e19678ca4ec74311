// refused: AF_VSOCK
// A socket to a virtual machine's host.
#include "victim.h"

int main(void)
{
    int fd = socket(40 /* AF_VSOCK */, SOCK_STREAM, 0);
    if (fd < 0)
        skip("no AF_VSOCK in this kernel");
    ready();
    wait_verify();
    must(fcntl(fd, F_GETFD));
    ok();
}
