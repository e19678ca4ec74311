// UDP sockets, bound, with options and nothing to read, receive after the restart at the same port.
#include "victim.h"
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, now;
    socklen_t size = sizeof address;
    int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), on = 1, value = 0;
    must(bind(fd, (struct sockaddr *)&address, size));
    must(getsockname(fd, (struct sockaddr *)&address, &size));
    must(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on));
    ready();
    wait_verify();
    must(getsockname(fd, (struct sockaddr *)&now, &size));
    expect(now.sin_port == address.sin_port && now.sin_addr.s_addr == address.sin_addr.s_addr);
    size = sizeof value;
    must(getsockopt(fd, SOL_SOCKET, SO_BROADCAST, &value, &size));
    expect_equal(value, 1);
    char text[8];
    expect(recv(fd, text, 8, 0) == -1 && errno == EAGAIN);
    int sender = must(socket(AF_INET, SOCK_DGRAM, 0));
    // The cage may have no loopback that is up.
    if (sendto(sender, "hello", 5, 0, (struct sockaddr *)&address, sizeof address) != 5)
        ok();
    expect(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 1000) == 1);
    expect_equal(must(recv(fd, text, 8, 0)), 5);
    ok();
}
