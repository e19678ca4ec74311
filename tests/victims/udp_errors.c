// Errors that wait at UDP sockets: in error queues (IP_RECVERR), with what was sent, to whom, and whose message it is; and those that the next call of
// a connected socket returns. Over IPv4 and IPv6; one error is of another host (a message that we send ourselves, as from there).
#include "victim.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

static struct sockaddr_in to4 = {.sin_family = AF_INET};
static struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

static unsigned short sum(const void *data, int length)
{
    unsigned total = 0;
    for (int i = 0; i < length; i += 2)
        total += *(const unsigned short *)((const char *)data + i);
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return ~total;
}

// "Fragmentation needed, the next network takes 1200", from 192.0.2.7, about a datagram from us to 192.0.2.99, port 4444.
static void from_elsewhere(int fd)
{
    struct sockaddr_in own, to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof own;
    must(getsockname(fd, (struct sockaddr *)&own, &size));
    struct { struct iphdr outer; struct icmphdr icmp; struct iphdr inner; struct udphdr udp; char data[8]; } __attribute__((packed)) packet = {
        .outer = {.version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_ICMP, .saddr = inet_addr("192.0.2.7"), .daddr = to.sin_addr.s_addr},
        .icmp = {.type = ICMP_DEST_UNREACH, .code = ICMP_FRAG_NEEDED, .un.frag.mtu = htons(1200)},
        .inner = {.version = 4, .ihl = 5, .ttl = 3, .protocol = IPPROTO_UDP, .saddr = to.sin_addr.s_addr, .daddr = inet_addr("192.0.2.99"), .tot_len = htons(36)},
        .udp = {.source = own.sin_port, .dest = htons(4444), .len = htons(16)},
        .data = "too long",
    };
    packet.icmp.checksum = sum(&packet.icmp, sizeof packet - sizeof packet.outer);
    int raw = must(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
    must(sendto(raw, &packet, sizeof packet, 0, (struct sockaddr *)&to, sizeof to));
    close(raw);
}

static void await_error(int fd)
{
    struct pollfd wait = {fd, 0, 0};
    expect_equal(must(poll(&wait, 1, 5000)), 1);
    expect(wait.revents & POLLERR);
}

static void expect_error(int fd, const char *data, int number, int type, int code, unsigned information, int family, const char *offender, const char *name, int port)
{
    char control[512], text[64], words[64];
    struct sockaddr_storage from = {0};
    struct iovec vector = {text, sizeof text};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    expect_equal(must(recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT)), (long)strlen(data));
    expect(memcmp(text, data, strlen(data)) == 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    expect(header->cmsg_type == (family == AF_INET ? IP_RECVERR : IPV6_RECVERR));
    struct sock_extended_err error;
    memcpy(&error, CMSG_DATA(header), sizeof error);
    expect_equal(error.ee_errno, number);
    expect_equal(error.ee_origin, family == AF_INET ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6);
    expect_equal(error.ee_type, type);
    expect_equal(error.ee_code, code);
    expect_equal(error.ee_info, information);
    struct sockaddr *who = (void *)(CMSG_DATA(header) + sizeof error);
    expect_equal(who->sa_family, family);
    expect(strcmp(inet_ntop(family, family == AF_INET ? (void *)&((struct sockaddr_in *)who)->sin_addr : (void *)&((struct sockaddr_in6 *)who)->sin6_addr, words, sizeof words), offender) == 0);
    expect_equal(from.ss_family, family);
    expect(strcmp(inet_ntop(family, family == AF_INET ? (void *)&((struct sockaddr_in *)&from)->sin_addr : (void *)&((struct sockaddr_in6 *)&from)->sin6_addr, words, sizeof words), name) == 0);
    expect_equal(ntohs(((struct sockaddr_in *)&from)->sin_port), port);
}

static int next_error(int fd)
{
    int error;
    socklen_t size = sizeof error;
    must(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
    return error;
}

int main(void)
{
    int on = 1, queue4 = must(socket(AF_INET, SOCK_DGRAM, 0)), queue6 = must(socket(AF_INET6, SOCK_DGRAM, 0)), heard = must(socket(AF_INET, SOCK_DGRAM, 0)), plain4 = must(socket(AF_INET, SOCK_DGRAM, 0)), plain6 = must(socket(AF_INET6, SOCK_DGRAM, 0));
    to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to4.sin_port = htons(9);
    to6.sin6_port = htons(11);
    must(setsockopt(queue4, SOL_IP, IP_RECVERR, &on, sizeof on));
    must(setsockopt(heard, SOL_IP, IP_RECVERR, &on, sizeof on));
    must(setsockopt(queue6, SOL_IPV6, IPV6_RECVERR, &on, sizeof on));
    // Three in one queue; after the first the kernel tells of it before it sends again.
    must(sendto(queue4, "first", 5, 0, (struct sockaddr *)&to4, sizeof to4));
    await_error(queue4);
    next_error(queue4);
    must(sendto(queue4, "the second", 10, 0, (struct sockaddr *)&to4, sizeof to4));
    await_error(queue4);
    from_elsewhere(queue4);
    nap_ms(5);
    must(sendto(queue6, "six", 3, 0, (struct sockaddr *)&to6, sizeof to6));
    await_error(queue6);
    // Heard of by a call, and still in the queue.
    must(sendto(heard, "heard", 5, 0, (struct sockaddr *)&to4, sizeof to4));
    await_error(heard);
    expect_equal(next_error(heard), ECONNREFUSED);
    must(connect(plain4, (struct sockaddr *)&to4, sizeof to4));
    must(send(plain4, "x", 1, 0));
    await_error(plain4);
    must(connect(plain6, (struct sockaddr *)&to6, sizeof to6));
    must(send(plain6, "x", 1, 0));
    await_error(plain6);
    ready();
    wait_verify();

    expect_equal(next_error(queue4), EMSGSIZE);
    expect_error(queue4, "first", ECONNREFUSED, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, AF_INET, "127.0.0.1", "127.0.0.1", 9);
    expect_error(queue4, "the second", ECONNREFUSED, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, AF_INET, "127.0.0.1", "127.0.0.1", 9);
    expect_error(queue4, "too long", EMSGSIZE, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 1200, AF_INET, "192.0.2.7", "192.0.2.99", 4444);
    expect_error(queue6, "six", ECONNREFUSED, 1, 4, 0, AF_INET6, "::1", "::1", 11);
    expect_equal(next_error(heard), 0);
    expect_error(heard, "heard", ECONNREFUSED, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, AF_INET, "127.0.0.1", "127.0.0.1", 9);
    expect_equal(recv(plain4, &on, sizeof on, MSG_DONTWAIT), -1);
    expect_equal(errno, ECONNREFUSED);
    expect_equal(next_error(plain4), 0);
    expect_equal(send(plain6, "x", 1, 0), -1);
    expect_equal(errno, ECONNREFUSED);
    for (int *fd = (int[]){queue4, queue6, heard, plain4, plain6, -1}; *fd >= 0; fd++) {
        char control[512];
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
        expect_equal(recvmsg(*fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT), -1);
    }
    ok();
}
