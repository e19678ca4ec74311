// Raw and packet sockets beside sockets with datagrams and errors that wait: they have heard all that when it came, and hear none of it again when it is put back.
#include "victim.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>

static int raws[4];

// How many packets wait at each; they are read.
static void count(int counts[4])
{
    char packet[2048];
    for (int i = 0; i < 4; i++)
        for (counts[i] = 0; recv(raws[i], packet, sizeof packet, MSG_DONTWAIT) >= 0; counts[i]++)
            ;
}

static void expect_packets(int least)
{
    int counts[4];
    count(counts);
    for (int i = 0; i < 4; i++)
        expect(least ? counts[i] >= least : counts[i] == 0);
}

int main(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(9)}, own = to;
    struct sockaddr_ll everything = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex("lo")};
    raws[0] = must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    raws[1] = must(socket(AF_INET, SOCK_RAW, IPPROTO_UDP));
    raws[2] = must(socket(AF_PACKET, SOCK_RAW, 0));
    raws[3] = must(socket(AF_PACKET, SOCK_DGRAM, 0));
    must(bind(raws[2], (struct sockaddr *)&everything, sizeof everything));
    everything.sll_protocol = htons(ETH_P_IP);
    must(bind(raws[3], (struct sockaddr *)&everything, sizeof everything));
    int on = 1, with_error = must(socket(AF_INET, SOCK_DGRAM, 0)), with_datagram = must(socket(AF_INET, SOCK_DGRAM, 0));
    must(setsockopt(with_error, SOL_IP, IP_RECVERR, &on, sizeof on));
    own.sin_port = 0;
    must(bind(with_datagram, (struct sockaddr *)&own, sizeof own));
    socklen_t size = sizeof own;
    must(getsockname(with_datagram, (struct sockaddr *)&own, &size));
    must(sendto(with_error, "nobody", 6, 0, (struct sockaddr *)&to, sizeof to));
    must(sendto(with_datagram, "itself", 6, 0, (struct sockaddr *)&own, sizeof own));
    nap_ms(20);
    expect_packets(1);
    ready();
    wait_verify();

    nap_ms(20);
    expect_packets(0);
    char text[16];
    expect_equal(must(recv(with_datagram, text, sizeof text, MSG_DONTWAIT)), 6);
    expect(memcmp(text, "itself", 6) == 0);
    expect_equal(must(recv(with_error, text, sizeof text, MSG_DONTWAIT | MSG_ERRQUEUE)), 6);
    expect(memcmp(text, "nobody", 6) == 0);
    // They are not deaf.
    must(sendto(with_datagram, "itself", 6, 0, (struct sockaddr *)&own, sizeof own));
    to.sin_port = htons(10);
    must(sendto(with_error, "nobody", 6, 0, (struct sockaddr *)&to, sizeof to));
    nap_ms(20);
    expect_packets(1);
    ok();
}
