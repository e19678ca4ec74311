// Packet sockets: bound to an interface, with a filter, options and memberships, as a DHCP client has one; and one that is bound to
// nothing. After the restart they hear what they heard, and nothing else.
#include "victim.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

static void tell(int fd, unsigned loop, uint16_t protocol, const char *text)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = loop, .sll_halen = 6};
    must(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, sizeof address));
}

static bool interface_hears(void)
{
    char *lists = read_all("/proc/net/dev_mcast", NULL);
    bool found = strstr(lists, "01005e010203");
    free(lists);
    return found;
}

int main(void)
{
    unsigned loop = must(if_nametoindex("lo"));
    // Protocols for experiments (IEEE 802): nobody else speaks them here.
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = loop}, now;
    int fd = must(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), idle = must(socket(AF_PACKET, SOCK_RAW, 0)), on = 1, value = 0;
    // Only what begins with 'a'.
    struct sock_filter first[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'a', 0, 1), BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {4, first};
    must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    must(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on));
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    struct packet_mreq member = {.mr_ifindex = loop, .mr_type = PACKET_MR_MULTICAST, .mr_alen = 6, .mr_address = {1, 0, 0x5e, 1, 2, 3}};
    must(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &member, sizeof member));
    char text[16];
    struct sockaddr_ll to = address;
    to.sll_halen = 6;
    if (sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof to) != 1)
        skip("there is no loopback interface that is up");
    nap_ms(5);
    while (recv(fd, text, sizeof text, 0) >= 0)
        ;
    ready();
    wait_verify();

    socklen_t size = sizeof now;
    must(getsockname(fd, (struct sockaddr *)&now, &size));
    expect(now.sll_protocol == htons(0x88b5) && now.sll_ifindex == (int)loop);
    size = sizeof value;
    must(getsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &value, &size));
    expect_equal(value, 1);
    tell(fd, loop, 0x88b5, "b is not for us");
    tell(fd, loop, 0x88b6, "another protocol");
    tell(fd, loop, 0x88b5, "a is");
    expect_equal(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 1000), 1);
    expect_equal(must(recv(fd, text, sizeof text, 0)), 4);
    expect(memcmp(text, "a is", 4) == 0);
    expect(interface_hears());
    must(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &member, sizeof member));
    expect(!interface_hears());
    size = sizeof now;
    must(getsockname(idle, (struct sockaddr *)&now, &size));
    expect(now.sll_protocol == 0 && now.sll_ifindex == 0);
    ok();
}
