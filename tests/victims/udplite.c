// UDP-Lite sockets over IPv4 and IPv6: how much of a packet their checksum covers, and packets that wait with their senders.
#include "victim.h"
#include <netinet/in.h>

enum { UDPLITE = 136, SEND_COVERAGE = 10, RECEIVE_COVERAGE = 11 };

static int bound(int family, struct sockaddr_in6 *address)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, UDPLITE);
    if (fd < 0)
        skip("no UDP-Lite in this kernel");
    memset(address, 0, sizeof *address);
    address->sin6_family = family;
    if (family == AF_INET)
        ((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        address->sin6_addr = in6addr_loopback;
    socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof *address;
    if (bind(fd, (struct sockaddr *)address, size) != 0)
        skip("no loopback address");
    must(getsockname(fd, (struct sockaddr *)address, &size));
    return fd;
}

static void comes(int fd, const char *text, const struct sockaddr_in6 *from)
{
    struct sockaddr_in6 sender = {0};
    socklen_t size = sizeof sender;
    char back[32] = {0};
    must(recvfrom(fd, back, sizeof back - 1, 0, (struct sockaddr *)&sender, &size));
    if (strcmp(back, text) != 0)
        fail("got '%s', not '%s'", back, text);
    expect(memcmp(&sender, from, size) == 0);
}

int main(void)
{
    struct sockaddr_in6 at[4];
    int families[2] = {AF_INET, AF_INET6}, receivers[2], senders[2], value, twelve = 12, ten = 10;
    for (int i = 0; i < 2; i++) {
        receivers[i] = bound(families[i], &at[i]);
        senders[i] = bound(families[i], &at[2 + i]);
        must(setsockopt(senders[i], UDPLITE, SEND_COVERAGE, &twelve, sizeof twelve));
        must(setsockopt(receivers[i], UDPLITE, RECEIVE_COVERAGE, &ten, sizeof ten));
        socklen_t size = i ? sizeof at[i] : sizeof(struct sockaddr_in);
        if (sendto(senders[i], "first packet", 12, 0, (struct sockaddr *)&at[i], size) != 12)
            skip("there is no loopback interface that is up");
        must(sendto(senders[i], "odd", 3, 0, (struct sockaddr *)&at[i], size));
    }
    nap_ms(5);
    ready();
    wait_verify();
    for (int i = 0; i < 2; i++) {
        socklen_t length = sizeof value, size = i ? sizeof at[i] : sizeof(struct sockaddr_in);
        must(getsockopt(senders[i], UDPLITE, SEND_COVERAGE, &value, &length));
        expect_equal(value, 12);
        must(getsockopt(receivers[i], UDPLITE, RECEIVE_COVERAGE, &value, &length));
        expect_equal(value, 10);
        comes(receivers[i], "first packet", &at[2 + i]);
        comes(receivers[i], "odd", &at[2 + i]);
        must(sendto(senders[i], "new", 3, 0, (struct sockaddr *)&at[i], size));
        comes(receivers[i], "new", &at[2 + i]);
    }
    ok();
}
