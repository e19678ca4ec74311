// refused: not sent yet
// A UDP packet of which the program has written only the beginning, with a time to live that is this packet's own.
#include "victim.h"
#include <arpa/inet.h>
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int receiver = must(socket(AF_INET, SOCK_DGRAM, 0)), sender = must(socket(AF_INET, SOCK_DGRAM, 0)), ttl = 9;
    must(bind(receiver, (struct sockaddr *)&address, size));
    must(getsockname(receiver, (struct sockaddr *)&address, &size));
    char control[CMSG_SPACE(sizeof ttl)] = {0};
    struct iovec vector = {"begin", 5};
    struct msghdr message = {.msg_name = &address, .msg_namelen = size, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof ttl), .cmsg_level = SOL_IP, .cmsg_type = IP_TTL};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &ttl, sizeof ttl);
    must(sendmsg(sender, &message, MSG_MORE));
    ready();
    wait_verify();
    char text[16];
    must(sendto(sender, "end", 3, 0, (struct sockaddr *)&address, size));
    expect_equal(must(recv(receiver, text, sizeof text, 0)), 8);
    ok();
}
