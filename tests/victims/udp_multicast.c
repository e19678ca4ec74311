// Multicast groups of IPv4 and IPv6, on an interface, with chosen sources and without; a socket that is in none hears none. Also a
// ping socket with its identifier, and a raw socket with a filter of message types.
#include "victim.h"
#include <arpa/inet.h>
#include <linux/icmp.h>
extern unsigned if_nametoindex(const char *); // net/if.h and linux/icmp.h do not go together
#include <netinet/in.h>

static int member(const char *group, unsigned interface, uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = *port};
    socklen_t size = sizeof address;
    int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), off = 0;
    must(setsockopt(fd, SOL_IP, IP_MULTICAST_ALL, &off, sizeof off));
    must(bind(fd, (struct sockaddr *)&address, size));
    must(getsockname(fd, (struct sockaddr *)&address, &size));
    *port = address.sin_port;
    if (group) {
        struct ip_mreqn request = {.imr_multiaddr.s_addr = inet_addr(group), .imr_ifindex = interface};
        must(setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
    }
    return fd;
}

static void tell(unsigned interface, const char *group, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = inet_addr(group)};
    struct ip_mreqn request = {.imr_ifindex = interface, .imr_address.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
    must(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &request, sizeof request));
    must(sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address));
    close(fd);
}

static bool hears(int fd)
{
    char byte;
    bool heard = poll(&(struct pollfd){fd, POLLIN, 0}, 1, 50) == 1;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
        ;
    return heard;
}

int main(void)
{
    unsigned loop = if_nametoindex("lo");
    uint16_t ports[4] = {0};
    int both = member("239.1.2.3", loop, &ports[0]), none = member(NULL, 0, &ports[1]), chosen = member("239.1.2.4", loop, &ports[2]);
    struct ip_mreqn request = {.imr_multiaddr.s_addr = inet_addr("239.1.2.5"), .imr_ifindex = loop};
    must(setsockopt(both, SOL_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
    struct ip_mreq_source source = {.imr_multiaddr.s_addr = inet_addr("239.1.2.4"), .imr_interface.s_addr = htonl(INADDR_LOOPBACK), .imr_sourceaddr.s_addr = htonl(INADDR_LOOPBACK)};
    must(setsockopt(chosen, SOL_IP, IP_BLOCK_SOURCE, &source, sizeof source));
    struct ipv6_mreq six = {.ipv6mr_interface = loop};
    expect_equal(inet_pton(AF_INET6, "ff15::7", &six.ipv6mr_multiaddr), 1);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    socklen_t size = sizeof address;
    int sixth = must(socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    must(bind(sixth, (struct sockaddr *)&address, size));
    must(getsockname(sixth, (struct sockaddr *)&address, &size));
    must(setsockopt(sixth, SOL_IPV6, IPV6_ADD_MEMBERSHIP, &six, sizeof six));

    struct sockaddr_in identity = {.sin_family = AF_INET, .sin_port = htons(4321)}, now;
    int raw = must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), ping = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    struct icmp_filter filter = {~(1u << ICMP_ECHOREPLY)};
    must(setsockopt(raw, SOL_RAW, ICMP_FILTER, &filter, sizeof filter));
    if (ping >= 0)
        must(bind(ping, (struct sockaddr *)&identity, sizeof identity));
    tell(loop, "239.1.2.3", ports[0]);
    if (!hears(both))
        skip("the loopback interface is not up");
    ready();
    wait_verify();

    tell(loop, "239.1.2.3", ports[0]);
    expect(hears(both));
    tell(loop, "239.1.2.5", ports[0]);
    expect(hears(both));
    tell(loop, "239.1.2.4", ports[0]);
    expect(!hears(both));
    tell(loop, "239.1.2.3", ports[1]);
    expect(!hears(none));
    tell(loop, "239.1.2.4", ports[2]);
    expect(!hears(chosen));
    must(setsockopt(chosen, SOL_IP, IP_UNBLOCK_SOURCE, &source, sizeof source));
    tell(loop, "239.1.2.4", ports[2]);
    expect(hears(chosen));
    // Only a member can leave.
    must(setsockopt(sixth, SOL_IPV6, IPV6_DROP_MEMBERSHIP, &six, sizeof six));
    expect(setsockopt(sixth, SOL_IPV6, IPV6_DROP_MEMBERSHIP, &six, sizeof six) == -1 && errno == EADDRNOTAVAIL);

    struct icmp_filter kept;
    size = sizeof kept;
    must(getsockopt(raw, SOL_RAW, ICMP_FILTER, &kept, &size));
    expect_equal(kept.data, filter.data);
    if (ping >= 0) {
        size = sizeof now;
        must(getsockname(ping, (struct sockaddr *)&now, &size));
        expect_equal(ntohs(now.sin_port), 4321);
    }
    ok();
}
