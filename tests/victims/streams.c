// snapshot: no its pipes fill and drain all the time
// Bytes that flow between processes while they are checkpointed, in pieces of all sizes, through a pipe, stream, datagram
// and sequenced sockets and a FIFO: none is lost, doubled or out of order.
#include "victim.h"

enum { LANES = 5, LARGEST = 30000 };
struct board { atomic_int stop, failed; atomic_ulong sent[LANES], received[LANES]; };
static struct board *board;

static unsigned char byte_at(uint64_t position)
{
    return (unsigned char)(mix(position >> 3) >> (position & 7) * 8);
}

static void produce(int lane, int fd)
{
    unsigned char buffer[LARGEST];
    uint64_t position = 0, dice = lane;
    bool packets = lane == 2 || lane == 3;
    while (!atomic_load(&board->stop)) {
        size_t size = (dice = mix(dice)) % (packets ? 3000 : LARGEST) + 1;
        for (size_t i = 0; i < size; i++)
            buffer[i] = byte_at(position + i);
        for (size_t done = 0; done < size;) {
            ssize_t wrote = write(fd, buffer + done, size - done);
            if (wrote <= 0)
                fail("lane %d: write gave %zd, %s", lane, wrote, strerror(errno));
            if (packets)
                expect_equal(wrote, size);
            done += wrote;
        }
        position += size;
        atomic_store(&board->sent[lane], position);
        if (dice % 7 == 0)
            nap_ms(1);
    }
    _exit(0);
}

static void consume(int lane, int fd)
{
    unsigned char buffer[LARGEST];
    uint64_t position = 0, dice = lane + 100;
    bool packets = lane == 2 || lane == 3;
    for (;;) {
        size_t size = packets ? LARGEST : (dice = mix(dice)) % LARGEST + 1;
        ssize_t got = read(fd, buffer, size);
        if (got < 0)
            fail("lane %d: read gave %s", lane, strerror(errno));
        // A datagram socket has no end of file: its last packet says so.
        if (got == 0 || (lane == 2 && got == 4 && memcmp(buffer, "stop", 4) == 0))
            _exit(0);
        for (ssize_t i = 0; i < got; i++)
            if (buffer[i] != byte_at(position + i))
                fail("lane %d: byte %lu is not what was sent", lane, position + i);
        position += got;
        atomic_store(&board->received[lane], position);
    }
}

int main(void)
{
    int ends[LANES][2];
    pid_t pids[LANES][2];
    board = shared_memory(sizeof *board);
    must(setpriority(PRIO_PROCESS, 0, 5));
    must(pipe(ends[0]));
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends[1]));
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends[2]));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends[3]));
    must(mkfifo("fifo", 0666));
    ends[4][0] = must(open("fifo", O_RDONLY | O_NONBLOCK));
    ends[4][1] = must(open("fifo", O_WRONLY));
    must(fcntl(ends[4][0], F_SETFL, 0));
    for (int i = 0; i < LANES; i++)
        for (int side = 0; side < 2; side++)
            if ((pids[i][side] = must(fork())) == 0) {
                for (int other = 0; other < LANES; other++)
                    for (int end = 0; end < 2; end++)
                        if (other != i || end != side)
                            close(ends[other][end]);
                if (side)
                    produce(i, ends[i][1]);
                else
                    consume(i, ends[i][0]);
            }
    for (int i = 0; i < LANES; i++) {
        close(ends[i][0]);
        if (i != 2)
            close(ends[i][1]);
    }
    for (int i = 0; i < LANES; i++)
        while (atomic_load(&board->received[i]) < 100000)
            nap_ms(1);
    ready();
    wait_verify();
    uint64_t before[LANES];
    for (int i = 0; i < LANES; i++)
        before[i] = atomic_load(&board->received[i]);
    for (int i = 0; i < LANES; i++)
        for (int tries = 0; atomic_load(&board->received[i]) < before[i] + 100000; tries++) {
            if (tries == 4000)
                fail("lane %d stands still at %lu of %lu", i, atomic_load(&board->received[i]), atomic_load(&board->sent[i]));
            nap_ms(1);
        }
    atomic_store(&board->stop, 1);
    for (int i = 0; i < LANES; i++) {
        reap_success(pids[i][1]);
        if (i == 2)
            must(write(ends[2][1], "stop", 4));
        reap_success(pids[i][0]);
        expect_equal(atomic_load(&board->sent[i]), atomic_load(&board->received[i]));
    }
    ok();
}
