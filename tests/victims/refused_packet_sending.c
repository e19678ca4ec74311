// refused: ring of packets to send
// A packet socket with a ring from which the kernel sends.
#include "victim.h"
#include <linux/if_packet.h>

int main(void)
{
    int fd = must(socket(AF_PACKET, SOCK_RAW, 0));
    struct tpacket_req ring = {.tp_block_size = 4096, .tp_block_nr = 4, .tp_frame_size = 2048, .tp_frame_nr = 8};
    must(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &ring, sizeof ring));
    ready();
    wait_verify();
    struct tpacket_stats statistics;
    socklen_t size = sizeof statistics;
    must(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size));
    ok();
}
