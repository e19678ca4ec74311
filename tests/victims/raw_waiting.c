// Packets that wait in ping and raw sockets, IPv4 and IPv6: the answers to pings, with their senders and lifetimes, and packets of a protocol that only
// the program knows. Each socket has its own packets, once and in order, though each of the raw ones hears what comes for the others.
#include "victim.h"
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

enum { OWN_PROTOCOL = 253 };

static uint16_t sum(const void *data, size_t length)
{
    const uint16_t *word = data;
    uint32_t total = 0;
    for (; length > 1; length -= 2)
        total += *word++;
    if (length)
        total += *(const uint8_t *)word;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)~total;
}

static void ping(int fd, int identifier, int number, size_t length)
{
    static uint8_t packet[8192];
    struct icmphdr header = {.type = ICMP_ECHO, .un.echo = {.id = htons(identifier), .sequence = htons(number)}};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000005)};
    memset(packet, number, sizeof packet);
    memcpy(packet, &header, sizeof header);
    header.checksum = sum(packet, sizeof header + length);
    memcpy(packet, &header, sizeof header);
    must(sendto(fd, packet, sizeof header + length, 0, (struct sockaddr *)&to, sizeof to));
}

static void ping_six(int fd, int number)
{
    struct icmp6_hdr header = {.icmp6_type = ICMP6_ECHO_REQUEST, .icmp6_dataun.icmp6_un_data16 = {0, htons(number)}};
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    must(sendto(fd, &header, sizeof header, 0, (struct sockaddr *)&to, sizeof to));
}

// The next answer in a ping socket.
static void expect_reply(int fd, int number, size_t length, int ttl)
{
    static uint8_t packet[8192];
    char control[256];
    struct sockaddr_in from = {0};
    struct iovec vector = {packet, sizeof packet};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    expect_equal(must(recvmsg(fd, &message, MSG_DONTWAIT)), 8 + length);
    struct icmphdr *header = (struct icmphdr *)packet;
    expect(header->type == ICMP_ECHOREPLY && ntohs(header->un.echo.sequence) == number && sum(packet, 8 + length) == 0);
    for (size_t i = 0; i < length; i++)
        expect_equal(packet[8 + i], number);
    expect_equal(ntohl(from.sin_addr.s_addr), 0x7f000005);
    struct cmsghdr *told = CMSG_FIRSTHDR(&message);
    expect(told != NULL && told->cmsg_level == IPPROTO_IP && told->cmsg_type == IP_TTL);
    expect_equal(*(int *)CMSG_DATA(told), ttl);
}

static void expect_reply_six(int fd, int number)
{
    struct icmp6_hdr header;
    struct sockaddr_in6 from;
    socklen_t size = sizeof from;
    expect_equal(must(recvfrom(fd, &header, sizeof header, MSG_DONTWAIT, (struct sockaddr *)&from, &size)), sizeof header);
    expect(header.icmp6_type == ICMP6_ECHO_REPLY && ntohs(header.icmp6_dataun.icmp6_un_data16[1]) == number);
    expect(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
}

static void expect_nothing(int fd)
{
    char byte;
    expect(recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
}

// A whole packet in a raw socket, with its header.
static void expect_raw(int fd, int protocol, const char *text, size_t behind)
{
    uint8_t packet[8192];
    ssize_t length = must(recv(fd, packet, sizeof packet, MSG_DONTWAIT));
    struct ip *header = (struct ip *)packet;
    expect(header->ip_v == 4 && header->ip_p == protocol && ntohs(header->ip_len) == length && header->ip_hl == 5 && sum(packet, 20) == 0);
    if (text != NULL)
        expect((size_t)length == 20 + strlen(text) && memcmp(packet + 20, text, strlen(text)) == 0);
    else
        expect((size_t)length == 20 + 8 + behind);
}

int main(void)
{
    int on = 1;
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(77), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000009)};
    int range = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
    if (range < 0 || write(range, "0 0", 3) != 3)
        skip("nobody may have a ping socket here");
    must(close(range));
    int pings = must(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)), others = must(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)), six = must(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
    must(bind(pings, (struct sockaddr *)&local, sizeof local));
    must(setsockopt(pings, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    must(setsockopt(others, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    int raw = must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), own = must(socket(AF_INET, SOCK_RAW, OWN_PROTOCOL)), second = must(socket(AF_INET, SOCK_RAW, OWN_PROTOCOL));
    uint32_t filter = ~(1u << ICMP_ECHOREPLY); // struct icmp_filter
    must(setsockopt(raw, SOL_RAW, 1 /* ICMP_FILTER */, &filter, sizeof filter));
    to.sin_port = 0;
    for (int i = 1; i <= 3; i++)
        ping(pings, 0, i, 100 * i);
    ping(others, 0, 9, 5000);
    must(sendto(own, "first", 5, 0, (struct sockaddr *)&to, sizeof to));
    must(sendto(own, "second", 6, 0, (struct sockaddr *)&to, sizeof to));
    must(sendto(own, "2", 1, 0, (struct sockaddr *)&to, sizeof to));
    expect_raw(second, OWN_PROTOCOL, "first", 0);
    ping_six(six, 4);
    ping_six(six, 5);
    ready();
    wait_verify();
    expect_reply(pings, 1, 100, 64);
    expect_reply(pings, 2, 200, 64);
    expect_reply(pings, 3, 300, 64);
    expect_nothing(pings);
    expect_reply(others, 9, 5000, 64);
    expect_nothing(others);
    expect_reply_six(six, 4);
    expect_reply_six(six, 5);
    expect_nothing(six);
    for (int i = 1; i <= 3; i++)
        expect_raw(raw, IPPROTO_ICMP, NULL, 100 * i);
    expect_raw(raw, IPPROTO_ICMP, NULL, 5000);
    expect_nothing(raw);
    expect_raw(own, OWN_PROTOCOL, "first", 0);
    expect_raw(own, OWN_PROTOCOL, "second", 0);
    expect_raw(own, OWN_PROTOCOL, "2", 0);
    expect_nothing(own);
    expect_raw(second, OWN_PROTOCOL, "second", 0);
    expect_raw(second, OWN_PROTOCOL, "2", 0);
    expect_nothing(second);
    // They hear again.
    ping(pings, 0, 6, 10);
    expect_reply(pings, 6, 10, 64);
    expect_raw(raw, IPPROTO_ICMP, NULL, 10);
    must(sendto(own, "third", 5, 0, (struct sockaddr *)&to, sizeof to));
    expect_raw(own, OWN_PROTOCOL, "third", 0);
    ok();
}
