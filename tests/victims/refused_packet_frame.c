// refused: within a page
// A packet socket with a ring of frames of which two fit into a page: the kernel stands at a second one, which no new ring can begin with.
#include "victim.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>

int main(void)
{
    int fd = must(socket(AF_PACKET, SOCK_DGRAM, 0)), loop = must(if_nametoindex("lo")), version = TPACKET_V2;
    must(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
    struct tpacket_req request = {.tp_block_size = 4096, .tp_block_nr = 4, .tp_frame_size = 2048, .tp_frame_nr = 8};
    must(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request));
    char *ring = mmap(NULL, 4096 * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect(ring != MAP_FAILED);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = loop, .sll_halen = 6};
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    must(sendto(fd, "one", 3, 0, (struct sockaddr *)&address, sizeof address));
    ready();
    wait_verify();
    struct tpacket2_hdr *first = (void *)ring;
    expect(first->tp_status & TP_STATUS_USER);
    expect(memcmp(ring + first->tp_net, "one", 3) == 0);
    ok();
}
