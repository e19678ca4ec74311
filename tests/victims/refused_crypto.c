// refused: AF_ALG
// A socket of the kernel's cryptography.
#include "victim.h"

int main(void)
{
    int fd = socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0);
    if (fd < 0)
        skip("no AF_ALG in this kernel");
    ready();
    wait_verify();
    must(fcntl(fd, F_GETFD));
    ok();
}
