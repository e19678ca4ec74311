// UDP sockets with packets that wait, from senders near and far, of this program, of nobody any more and of addresses that this
// host does not have; empty ones; over IPv4 and IPv6; with the address they were sent to; a connected socket with its peer; a
// filter that would not let them through again.
#include "victim.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

static int bound(int family, const char *host, uint16_t *port)
{
    struct sockaddr_storage address = {.ss_family = family};
    struct sockaddr_in *four = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    socklen_t size = family == AF_INET ? sizeof *four : sizeof *six;
    int fd = must(socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    expect_equal(inet_pton(family, host, family == AF_INET ? (void *)&four->sin_addr : (void *)&six->sin6_addr), 1);
    must(bind(fd, (struct sockaddr *)&address, size));
    must(getsockname(fd, (struct sockaddr *)&address, &size));
    *port = family == AF_INET ? four->sin_port : six->sin6_port;
    return fd;
}

static struct sockaddr_in to(const char *host, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = inet_addr(host)};
}

// A packet from an address that is not ours.
static void forge(const char *from, uint16_t from_port, uint16_t port, const char *text)
{
    struct {
        struct iphdr ip;
        struct udphdr udp;
        char text[32];
    } packet = {.ip = {.version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_UDP, .saddr = inet_addr(from), .daddr = htonl(INADDR_LOOPBACK)}};
    size_t length = strlen(text);
    packet.udp = (struct udphdr){.source = from_port, .dest = port, .len = htons(8 + length)};
    memcpy(packet.text, text, length);
    struct sockaddr_in address = to("127.0.0.1", 0);
    int raw = must(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
    must(sendto(raw, &packet, 28 + length, 0, (struct sockaddr *)&address, sizeof address));
    close(raw);
}

static void comes(int fd, const char *text, const char *from, uint16_t from_port, const char *sent_to)
{
    char back[64] = {0}, control[256];
    struct sockaddr_in sender;
    struct iovec part = {back, sizeof back - 1};
    struct msghdr message = {.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    must(recvmsg(fd, &message, 0));
    if (strcmp(back, text) != 0)
        fail("got '%s', not '%s'", back, text);
    if (sender.sin_addr.s_addr != inet_addr(from) || sender.sin_port != from_port)
        fail("'%s' came from %s:%d, not %s:%d", text, inet_ntoa(sender.sin_addr), ntohs(sender.sin_port), from, ntohs(from_port));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!sent_to)
        return;
    expect(header && header->cmsg_type == IP_PKTINFO);
    struct in_pktinfo information;
    memcpy(&information, CMSG_DATA(header), sizeof information);
    if (information.ipi_addr.s_addr != inet_addr(sent_to))
        fail("'%s' was sent to %s, not %s", text, inet_ntoa(information.ipi_addr), sent_to);
}

int main(void)
{
    uint16_t port, sender_port, gone_port, six_port, six_sender_port, peer_port, other_port;
    int on = 1, off = 0;
    int receiver = bound(AF_INET, "0.0.0.0", &port), sender = bound(AF_INET, "127.0.0.2", &sender_port), gone = bound(AF_INET, "127.0.0.3", &gone_port);
    struct sockaddr_in first = to("127.0.0.1", port), second = to("127.7.8.9", port);
    must(setsockopt(receiver, SOL_IP, IP_PKTINFO, &on, sizeof on));
    if (sendto(sender, "one", 3, 0, (struct sockaddr *)&first, sizeof first) != 3)
        skip("there is no loopback interface that is up");
    must(sendto(gone, "two", 3, 0, (struct sockaddr *)&second, sizeof second));
    must(sendto(sender, "", 0, 0, (struct sockaddr *)&first, sizeof first));
    forge("198.51.100.7", htons(53), port, "from far");
    must(sendto(gone, "odd", 3, 0, (struct sockaddr *)&first, sizeof first));
    close(gone);

    int six = bound(AF_INET6, "::", &six_port), six_sender = bound(AF_INET6, "::1", &six_sender_port);
    must(setsockopt(six, SOL_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0 || errno == EINVAL ? 0 : -1);
    struct sockaddr_in6 loop = {.sin6_family = AF_INET6, .sin6_port = six_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in mapped = to("127.0.0.1", six_port);
    must(sendto(six_sender, "six", 3, 0, (struct sockaddr *)&loop, sizeof loop));
    must(sendto(sender, "four", 4, 0, (struct sockaddr *)&mapped, sizeof mapped));

    int connected = bound(AF_INET, "127.0.0.1", &peer_port), other = bound(AF_INET, "127.0.0.1", &other_port);
    struct sockaddr_in there = to("127.0.0.1", other_port), here = to("127.0.0.1", peer_port);
    must(sendto(sender, "before", 6, 0, (struct sockaddr *)&here, sizeof here));
    must(connect(connected, (struct sockaddr *)&there, sizeof there));
    must(sendto(other, "peer", 4, 0, (struct sockaddr *)&here, sizeof here));
    // Lets nothing through from now on.
    struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {1, &none};
    must(setsockopt(connected, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    nap_ms(5);
    ready();
    wait_verify();

    comes(receiver, "one", "127.0.0.2", sender_port, "127.0.0.1");
    comes(receiver, "two", "127.0.0.3", gone_port, "127.7.8.9");
    comes(receiver, "", "127.0.0.2", sender_port, "127.0.0.1");
    comes(receiver, "from far", "198.51.100.7", htons(53), "127.0.0.1");
    comes(receiver, "odd", "127.0.0.3", gone_port, "127.0.0.1");
    char text[16];
    expect(recv(receiver, text, sizeof text, 0) == -1 && errno == EAGAIN);
    must(sendto(sender, "new", 3, 0, (struct sockaddr *)&first, sizeof first));
    comes(receiver, "new", "127.0.0.2", sender_port, "127.0.0.1");

    struct sockaddr_in6 from;
    socklen_t size = sizeof from;
    expect_equal(must(recvfrom(six, text, sizeof text, 0, (struct sockaddr *)&from, &size)), 3);
    expect(from.sin6_port == six_sender_port && IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
    size = sizeof from;
    expect_equal(must(recvfrom(six, text, sizeof text, 0, (struct sockaddr *)&from, &size)), 4);
    expect(from.sin6_port == sender_port && IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));

    comes(connected, "before", "127.0.0.2", sender_port, NULL);
    comes(connected, "peer", "127.0.0.1", other_port, NULL);
    must(sendto(other, "filtered", 8, 0, (struct sockaddr *)&here, sizeof here));
    expect(recv(connected, text, sizeof text, 0) == -1 && errno == EAGAIN);
    must(send(connected, "out", 3, 0));
    comes(other, "out", "127.0.0.1", peer_port, NULL);
    ok();
}
