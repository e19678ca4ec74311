// refused: netlink
// A netlink socket of netfilter, which notes what each socket has asked for.
#include "victim.h"
#include <linux/netlink.h>

int main(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    if (fd < 0)
        skip("this kernel has no netfilter");
    ready();
    wait_verify();
    expect(fcntl(fd, F_GETFD) >= 0);
    ok();
}
