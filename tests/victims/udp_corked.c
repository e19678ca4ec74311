// Datagrams of which the program has written only a part: by MSG_MORE and by UDP_CORK, over IPv4, IPv6 and IPv4 mapped into IPv6, short and
// longer than the network takes at once, connected and not, in one piece and in many. After the restart they are written to their ends and arrive once, whole.
#include "victim.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>

struct datagram {
    int sender, receiver;
    struct sockaddr_storage to;
    socklen_t size;
    unsigned length;
};

static char bytes[65536], arrived[65536];

static void open_pair(struct datagram *one, int family, bool mapped)
{
    one->receiver = must(socket(mapped ? AF_INET : family, SOCK_DGRAM, 0));
    one->sender = must(socket(family, SOCK_DGRAM, 0));
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool is_four = mapped || family == AF_INET;
    one->size = is_four ? sizeof four : sizeof six;
    memcpy(&one->to, is_four ? (void *)&four : (void *)&six, one->size);
    must(bind(one->receiver, (struct sockaddr *)&one->to, one->size));
    must(getsockname(one->receiver, (struct sockaddr *)&one->to, &one->size));
    if (mapped) {
        six.sin6_port = ((struct sockaddr_in *)&one->to)->sin_port;
        inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
        memcpy(&one->to, &six, one->size = sizeof six);
    }
}

static void write_more(struct datagram *one, unsigned length, int flags, bool named)
{
    must(sendto(one->sender, bytes + one->length, length, flags, named ? (struct sockaddr *)&one->to : NULL, named ? one->size : 0));
    one->length += length;
}

int main(void)
{
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = i * 7 + i / 251;
    struct datagram all[8] = {0}, *next = all;
    int on = 1, off = 0;
    for (int kind = 0; kind < 3; kind++) {
        // In many pieces.
        open_pair(next, kind == 0 ? AF_INET : AF_INET6, kind == 2);
        for (int i = 0; i < 12; i++)
            write_more(next, 3 + i * 17, MSG_MORE, true);
        next++;
        // Long.
        open_pair(next, kind == 0 ? AF_INET : AF_INET6, kind == 2);
        for (int i = 0; i < 5; i++)
            write_more(next, 9000, MSG_MORE, true);
        next++;
    }
    // Connected, with a cork.
    open_pair(next, AF_INET, false);
    must(connect(next->sender, (struct sockaddr *)&next->to, next->size));
    must(setsockopt(next->sender, SOL_UDP, UDP_CORK, &on, sizeof on));
    write_more(next, 700, 0, false);
    write_more(next, 1, 0, false);
    // With a cork and nothing behind it.
    open_pair(next + 1, AF_INET, false);
    must(setsockopt(next[1].sender, SOL_UDP, UDP_CORK, &on, sizeof on));
    ready();
    wait_verify();

    for (struct datagram *one = all; one < all + 6; one++)
        write_more(one, 100, 0, one->sender % 2); // whom it goes to was told before
    for (struct datagram *one = all + 6; one < all + 8; one++) {
        write_more(one, 50, 0, one == all + 7);
        expect_equal(recv(one->receiver, arrived, sizeof arrived, MSG_DONTWAIT), -1);
        must(setsockopt(one->sender, SOL_UDP, UDP_CORK, &off, sizeof off));
    }
    for (struct datagram *one = all; one < all + 8; one++) {
        expect_equal(must(recv(one->receiver, arrived, sizeof arrived, 0)), (long)one->length);
        expect(memcmp(arrived, bytes, one->length) == 0);
        expect_equal(recv(one->receiver, arrived, sizeof arrived, MSG_DONTWAIT), -1);
    }
    ok();
}
