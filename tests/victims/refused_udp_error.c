// refused: an error waits to be read
// A UDP socket with a message in its error queue that no network brings: when a packet was sent.
#include "victim.h"
#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int receiver = must(socket(AF_INET, SOCK_DGRAM, 0)), fd = must(socket(AF_INET, SOCK_DGRAM, 0)), on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    must(bind(receiver, (struct sockaddr *)&address, size));
    must(getsockname(receiver, (struct sockaddr *)&address, &size));
    must(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &on, sizeof on));
    must(sendto(fd, "x", 1, 0, (struct sockaddr *)&address, size));
    struct pollfd wait = {fd, 0, 0};
    expect_equal(must(poll(&wait, 1, 5000)), 1);
    ready();
    wait_verify();
    char control[512];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    must(recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT));
    expect(CMSG_FIRSTHDR(&message)->cmsg_type == SO_TIMESTAMPING);
    ok();
}
