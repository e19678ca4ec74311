// Packet sockets that share what they hear: by the queue that a packet came by, all goes to the first of them, by another mode to each in turn. One more
// may join each group, and finds the same mode.
#include "victim.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>

enum { QUEUES = 700, TURNS = 701, PROTOCOL = 0x88b5 };
static unsigned loop;

static int hearer(int protocol)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = loop};
    int fd = must(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    return fd;
}

static int join(int fd, int number, int mode)
{
    int value = number | mode << 16;
    return setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &value, sizeof value);
}

static void tell(int protocol)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = loop, .sll_halen = 6};
    int fd = must(socket(AF_PACKET, SOCK_DGRAM, 0));
    must(sendto(fd, "hello", 5, 0, (struct sockaddr *)&address, sizeof address));
    must(close(fd));
}

static int heard(int fd)
{
    char text[16];
    int count = 0;
    while (recv(fd, text, sizeof text, 0) == 5)
        count++;
    expect_equal(errno, EAGAIN);
    return count;
}

int main(void)
{
    loop = must(if_nametoindex("lo"));
    int a = hearer(PROTOCOL), b = hearer(PROTOCOL), c = hearer(PROTOCOL), one = hearer(PROTOCOL + 1), two = hearer(PROTOCOL + 1), value = 0;
    must(join(b, QUEUES, PACKET_FANOUT_QM | PACKET_FANOUT_FLAG_ROLLOVER));
    must(join(a, QUEUES, PACKET_FANOUT_QM | PACKET_FANOUT_FLAG_ROLLOVER));
    must(join(c, QUEUES, PACKET_FANOUT_QM | PACKET_FANOUT_FLAG_ROLLOVER));
    must(join(two, TURNS, PACKET_FANOUT_LB));
    must(join(one, TURNS, PACKET_FANOUT_LB));
    tell(PROTOCOL);
    expect(heard(a) == 0 && heard(b) == 1 && heard(c) == 0);
    ready();
    wait_verify();
    socklen_t size = sizeof value;
    must(getsockopt(c, SOL_PACKET, PACKET_FANOUT, &value, &size));
    expect_equal(value, QUEUES | (PACKET_FANOUT_QM | PACKET_FANOUT_FLAG_ROLLOVER) << 16);
    for (int i = 0; i < 4; i++) {
        tell(PROTOCOL);
        tell(PROTOCOL + 1);
    }
    expect(heard(a) == 0 && heard(b) == 4 && heard(c) == 0);
    expect(heard(one) == 2 && heard(two) == 2);
    must(close(b));
    tell(PROTOCOL);
    expect(heard(c) == 1 && heard(a) == 0); // the last one has its place
    int more = hearer(PROTOCOL);
    expect(join(more, QUEUES, PACKET_FANOUT_HASH) == -1 && errno == EINVAL);
    must(join(more, QUEUES, PACKET_FANOUT_QM | PACKET_FANOUT_FLAG_ROLLOVER));
    ok();
}
