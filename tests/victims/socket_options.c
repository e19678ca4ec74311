// Options that few programs set: each at a value that is not a new socket's, on sockets that are not connected, and found again.
#include "victim.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

struct option {
    int socket, level, name, length;
    const char *value;
};

#define INTEGER(number) 4, (const char[4]){(char)(number), (char)((number) >> 8), 0, 0}

enum { tcp, tcp6, udp, udp6, raw, sockets };

static const struct option options[] = {
    {tcp, SOL_TCP, 33 /* TCP_FASTOPEN_KEY */, 16, "a key of sixteen"},
    {tcp, SOL_TCP, 44 /* TCP_RTO_MAX_MS */, INTEGER(7000)},
    {tcp, SOL_TCP, 45 /* TCP_RTO_MIN_US */, INTEGER(9000)},
    {tcp, SOL_TCP, 46 /* TCP_DELACK_MAX_US */, INTEGER(8000)},
    {tcp, SOL_IP, IP_OPTIONS, 4, "\x01\x01\x01\x00"},
    {udp, SOL_IP, IP_OPTIONS, 8, "\x07\x07\x04\x00\x00\x00\x00\x00"},
    {udp, SOL_IP, 26 /* IP_RECVERR_RFC4884 */, INTEGER(1)},
    {udp, SOL_SOCKET, 63 /* SO_TIMESTAMP_NEW */, INTEGER(1)},
    {tcp6, SOL_IPV6, 59 /* IPV6_DSTOPTS */, 8, "\x00\x00\x01\x04\x00\x00\x00\x00"},
    {udp6, SOL_IPV6, 59 /* IPV6_DSTOPTS */, 8, "\x00\x00\x01\x04\x00\x00\x00\x00"},
    {udp6, SOL_IPV6, 54 /* IPV6_HOPOPTS */, 16, "\x00\x01\x01\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
    {udp6, SOL_IPV6, 33 /* IPV6_FLOWINFO_SEND */, INTEGER(1)},
    {udp6, SOL_IPV6, 77 /* IPV6_RECVFRAGSIZE */, INTEGER(1)},
    {udp6, SOL_IPV6, 11 /* IPV6_FLOWINFO */, INTEGER(1)},
    {udp6, SOL_IPV6, 31 /* IPV6_RECVERR_RFC4884 */, INTEGER(1)},
    {udp6, SOL_SOCKET, 75 /* SO_RCVMARK */, INTEGER(1)},
    {udp, SOL_SOCKET, 82 /* SO_RCVPRIORITY */, INTEGER(1)},
    {raw, SOL_IP, 22 /* IP_NODEFRAG */, INTEGER(1)},
};

int main(void)
{
    enum { count = sizeof options / sizeof *options };
    int fds[sockets] = {
        must(socket(AF_INET, SOCK_STREAM, 0)), must(socket(AF_INET6, SOCK_STREAM, 0)), must(socket(AF_INET, SOCK_DGRAM, 0)), must(socket(AF_INET6, SOCK_DGRAM, 0)),
        must(socket(AF_INET, SOCK_RAW, 253)),
    };
    bool set[count];
    for (int i = 0; i < count; i++) {
        const struct option *one = &options[i];
        set[i] = setsockopt(fds[one->socket], one->level, one->name, one->value, one->length) == 0;
        expect(set[i] || errno == ENOPROTOOPT || errno == EINVAL); // kernels differ
    }
    expect(set[0]);
    char before[count][64], now[64];
    socklen_t length[count], size;
    for (int i = 0; i < count; i++) {
        length[i] = sizeof before[i];
        if (set[i])
            must(getsockopt(fds[options[i].socket], options[i].level, options[i].name, before[i], &length[i]));
    }
    ready();
    wait_verify();
    for (int i = 0; i < count; i++) {
        size = sizeof now;
        if (!set[i])
            continue;
        must(getsockopt(fds[options[i].socket], options[i].level, options[i].name, now, &size));
        if (size != length[i] || memcmp(now, before[i], size) != 0)
            fail("option %d of level %d is not as it was (%d bytes, %d before)", options[i].name, options[i].level, (int)size, (int)length[i]);
    }
    ok();
}
