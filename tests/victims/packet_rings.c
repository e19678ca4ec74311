// Packet sockets with rings, one of each version, some packets read and some waiting: after the restart every packet is there once and in order,
// those that waited and those that come. The kernel stands in the middle of each ring, and of version 3 a block is partly filled.
#include "victim.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>

enum { BLOCK = 8192, BLOCKS = 8, FRAME = 2048, FRAMES = BLOCK / FRAME * BLOCKS, LENGTH = 1500, PRIVATE = 64 };

struct ring {
    int fd, version, protocol;
    char *memory;
    unsigned at;            // the block or frame that is read next
    unsigned sent, taken;   // packets; each has its number in it
};

static int sender, loop;

static void open_ring(struct ring *ring, int version, int protocol)
{
    *ring = (struct ring){.version = version, .protocol = protocol};
    ring->fd = must(socket(AF_PACKET, SOCK_DGRAM, 0));
    must(setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
    struct tpacket_req3 request = {.tp_block_size = BLOCK, .tp_block_nr = BLOCKS, .tp_frame_size = FRAME, .tp_frame_nr = FRAMES, .tp_retire_blk_tov = 60000, .tp_sizeof_priv = PRIVATE};
    must(setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request, version == TPACKET_V3 ? sizeof request : sizeof(struct tpacket_req)));
    ring->memory = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    expect(ring->memory != MAP_FAILED);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = loop};
    must(bind(ring->fd, (struct sockaddr *)&address, sizeof address));
}

static void send_packets(struct ring *ring, unsigned count)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ring->protocol), .sll_ifindex = loop, .sll_halen = 6};
    unsigned packet[LENGTH / 4];
    for (; count > 0; count--) {
        for (unsigned i = 0; i < LENGTH / 4; i++)
            packet[i] = ring->sent * 31 + i;
        must(sendto(sender, packet, LENGTH, 0, (struct sockaddr *)&to, sizeof to));
        ring->sent++;
    }
}

static void compare(struct ring *ring, const char *packet, unsigned length)
{
    expect_equal(length, LENGTH);
    for (unsigned i = 0; i < LENGTH / 4; i++)
        expect_equal(((const unsigned *)packet)[i], ring->taken * 31 + i);
    ring->taken++;
}

static bool take_block(struct ring *ring)
{
    struct tpacket_block_desc *block = (void *)(ring->memory + ring->at * BLOCK);
    if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
        return false;
    char *own = (char *)block + block->offset_to_priv;
    expect_equal(own[0], (int)ring->at);
    expect_equal(own[PRIVATE - 1], (int)ring->at);
    char *at = (char *)block + block->hdr.bh1.offset_to_first_pkt;
    for (unsigned i = 0; i < block->hdr.bh1.num_pkts; i++) {
        struct tpacket3_hdr *header = (void *)at;
        compare(ring, at + header->tp_net, header->tp_snaplen);
        at += header->tp_next_offset;
    }
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    ring->at = (ring->at + 1) % BLOCKS;
    return true;
}

static bool take_frame(struct ring *ring)
{
    char *frame = ring->memory + ring->at * FRAME;
    unsigned *status = (void *)frame; // also of version 1 on this machine, where it is a long
    if (!(__atomic_load_n(status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
        return false;
    unsigned net = ring->version == TPACKET_V1 ? ((struct tpacket_hdr *)frame)->tp_net : ((struct tpacket2_hdr *)frame)->tp_net;
    unsigned length = ring->version == TPACKET_V1 ? ((struct tpacket_hdr *)frame)->tp_snaplen : ((struct tpacket2_hdr *)frame)->tp_snaplen;
    compare(ring, frame + net, length);
    __atomic_store_n(status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    ring->at = (ring->at + 1) % FRAMES;
    return true;
}

// At least so many packets.
static void take(struct ring *ring, unsigned count)
{
    for (unsigned until = ring->taken + count; ring->taken < until;) {
        if (ring->version == TPACKET_V3 ? take_block(ring) : take_frame(ring))
            continue;
        if (poll(&(struct pollfd){ring->fd, POLLIN, 0}, 1, 2000) != 1)
            fail("version %d: packet %u of %u does not come", ring->version + 1, ring->taken, ring->sent);
    }
}

static void mark_blocks(struct ring *ring)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct tpacket_block_desc *block = (void *)(ring->memory + i * BLOCK);
        memset((char *)block + 48, i, PRIVATE);
    }
}

int main(void)
{
    loop = must(if_nametoindex("lo"));
    sender = must(socket(AF_PACKET, SOCK_DGRAM, 0));
    struct ring rings[3];
    for (int version = TPACKET_V1; version <= TPACKET_V3; version++)
        open_ring(&rings[version], version, 0x88b5 + version);
    mark_blocks(&rings[TPACKET_V3]);
    for (int version = TPACKET_V1; version <= TPACKET_V2; version++) {
        send_packets(&rings[version], 30);
        take(&rings[version], 29);
        send_packets(&rings[version], 8 + 4 * version); // so that the next lies where a page begins
    }
    // Five to a block, but for what the private part takes: four.
    struct ring *blocks = &rings[TPACKET_V3];
    send_packets(blocks, 26);
    take(blocks, 24);
    send_packets(blocks, 12);
    ready();
    wait_verify();

    for (int version = TPACKET_V1; version <= TPACKET_V2; version++) {
        take(&rings[version], 1 + 8 + 4 * version);
        expect_equal(rings[version].taken, rings[version].sent);
        for (int i = 0; i < 50; i++) {
            send_packets(&rings[version], 3);
            take(&rings[version], 3);
        }
        // Not more than it has room for: what comes then is dropped, and the ring goes on.
        send_packets(&rings[version], FRAMES + 5);
        take(&rings[version], FRAMES);
        rings[version].taken += 5;
        send_packets(&rings[version], 2);
        take(&rings[version], 2);
    }
    for (int i = 0; i < 50; i++) {
        send_packets(blocks, 9);
        while (blocks->sent - blocks->taken > 8) // what is in the block that is being filled does not come yet
            take(blocks, 1);
    }
    ok();
}
