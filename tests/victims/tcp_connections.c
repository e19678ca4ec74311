// TCP connections over IPv4 and IPv6 between two processes of the tree: idle, with data waiting on both sides, and with
// more written than the other side takes; with options. They go on as if nothing had been.
#include "victim.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { PAIRS = 6, LARGE = 3 << 20 };

static struct {
    int client, server;
    size_t to_server, to_client;
    struct sockaddr_storage client_name, server_name;
} pairs[PAIRS];

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    must(getsockopt(fd, level, name, &value, &size));
    return value;
}

static void set(int fd, int level, int name, int value) { must(setsockopt(fd, level, name, &value, sizeof value)); }

static unsigned char letter(int pair, size_t at) { return (unsigned char)(at * 31 + at / 251 + (size_t)pair * 7); }

// Writes without waiting; how much was taken.
static size_t write_some(int fd, int pair, size_t wanted)
{
    static unsigned char bytes[LARGE];
    for (size_t i = 0; i < wanted; i++)
        bytes[i] = letter(pair, i);
    size_t done = 0;
    while (done < wanted) {
        ssize_t sent = send(fd, bytes + done, wanted - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            break;
        done += (size_t)must(sent);
    }
    return done;
}

static void read_exactly(int fd, int pair, size_t wanted)
{
    static unsigned char bytes[65536];
    for (size_t done = 0; done < wanted;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        expect_equal(must(poll(&waiting, 1, 8000)), 1);
        ssize_t got = must(recv(fd, bytes, wanted - done < sizeof bytes ? wanted - done : sizeof bytes, 0));
        expect(got > 0);
        for (ssize_t i = 0; i < got; i++)
            if (bytes[i] != letter(pair, done + (size_t)i))
                fail("pair %d: byte %zu is wrong", pair, done + (size_t)i);
        done += (size_t)got;
    }
}

static void connect_pair(int pair, int family)
{
    struct sockaddr_storage name = {.ss_family = (sa_family_t)family};
    if (family == AF_INET)
        ((struct sockaddr_in *)&name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)&name)->sin6_addr = in6addr_loopback;
    socklen_t size = sizeof name;
    int listener = must(socket(family, SOCK_STREAM, 0));
    must(bind(listener, (struct sockaddr *)&name, sizeof name));
    must(listen(listener, 1));
    must(getsockname(listener, (struct sockaddr *)&name, &size));
    int client = must(socket(family, SOCK_STREAM, 0));
    if (connect(client, (struct sockaddr *)&name, size) != 0)
        skip("no loopback network in this cage");
    pairs[pair].client = client;
    pairs[pair].server = must(accept(listener, NULL, NULL));
    close(listener);
    size = sizeof name;
    must(getsockname(client, (struct sockaddr *)&pairs[pair].client_name, &size));
    size = sizeof name;
    must(getsockname(pairs[pair].server, (struct sockaddr *)&pairs[pair].server_name, &size));
}

static void expect_names(int fd, const struct sockaddr_storage *own, const struct sockaddr_storage *peer)
{
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;
    must(getsockname(fd, (struct sockaddr *)&name, &size));
    expect(memcmp(&name, own, size) == 0);
    memset(&name, 0, sizeof name);
    size = sizeof name;
    must(getpeername(fd, (struct sockaddr *)&name, &size));
    expect(memcmp(&name, peer, size) == 0);
}

static void set_options(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 71);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 13);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 65000);
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set(fd, SOL_SOCKET, SO_RCVBUF, 100000);
    set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    set(fd, IPPROTO_IP, IP_TOS, 0x10);
    must(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 3}, sizeof(struct linger)));
}

static void expect_options(int fd)
{
    char algorithm[16] = "";
    socklen_t size = sizeof algorithm;
    struct linger linger;
    socklen_t linger_size = sizeof linger;
    expect_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    expect_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    expect_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 71);
    expect_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 13);
    expect_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    expect_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 65000);
    expect_equal(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    expect_equal(option(fd, SOL_SOCKET, SO_RCVBUF), 200000);
    expect_equal(option(fd, SOL_SOCKET, SO_OOBINLINE), 1);
    expect_equal(option(fd, IPPROTO_IP, IP_TOS), 0x10);
    must(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, &size));
    expect(strcmp(algorithm, "reno") == 0);
    must(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &linger_size));
    expect(linger.l_onoff == 1 && linger.l_linger == 3);
}

// The numbers of the handshake that getsockopt can read.
static void agreed(int fd, unsigned seen[3])
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size));
    seen[0] = info.tcpi_state;
    seen[1] = info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    seen[2] = info.tcpi_snd_wscale | info.tcpi_rcv_wscale << 8;
}

static void serve(void)
{
    for (int i = 0; i < PAIRS; i++) {
        expect_names(pairs[i].server, &pairs[i].server_name, &pairs[i].client_name);
        read_exactly(pairs[i].server, i, pairs[i].to_server);
        // One round there and back: the connection lives.
        char word[8];
        struct pollfd waiting = {.fd = pairs[i].server, .events = POLLIN};
        expect_equal(must(poll(&waiting, 1, 8000)), 1);
        expect_equal(must(recv(pairs[i].server, word, sizeof word, MSG_WAITALL)), 8);
        expect_equal(must(send(pairs[i].server, word, sizeof word, MSG_NOSIGNAL)), 8);
        expect_equal(must(recv(pairs[i].server, word, sizeof word, 0)), 0);
    }
    _exit(0);
}

int main(void)
{
    for (int i = 0; i < PAIRS; i++)
        connect_pair(i, i % 2 == 0 ? AF_INET : AF_INET6);
    set_options(pairs[0].client);
    pairs[2].to_server = write_some(pairs[2].client, 2, 1000);
    pairs[2].to_client = write_some(pairs[2].server, 2, 70000);
    pairs[3].to_client = write_some(pairs[3].server, 3, 1);
    pairs[4].to_server = write_some(pairs[4].client, 4, LARGE);
    pairs[5].to_server = write_some(pairs[5].client, 5, LARGE);
    pairs[5].to_client = write_some(pairs[5].server, 5, LARGE);
    unsigned before[PAIRS][2][3];
    for (int i = 0; i < PAIRS; i++) {
        agreed(pairs[i].client, before[i][0]);
        agreed(pairs[i].server, before[i][1]);
    }
    pid_t child = must(fork());
    if (child == 0) {
        for (int i = 0; i < PAIRS; i++)
            close(pairs[i].client);
        wait_verify();
        serve();
    }
    for (int i = 0; i < PAIRS; i++)
        close(pairs[i].server);
    ready();
    wait_verify();
    expect_options(pairs[0].client);
    for (int i = 0; i < PAIRS; i++) {
        unsigned now[3];
        agreed(pairs[i].client, now);
        for (int k = 0; k < 3; k++)
            expect_equal(now[k], before[i][0][k]);
        expect_names(pairs[i].client, &pairs[i].client_name, &pairs[i].server_name);
        read_exactly(pairs[i].client, i, pairs[i].to_client);
        expect_equal(must(send(pairs[i].client, "question", 8, MSG_NOSIGNAL)), 8);
        char word[8];
        struct pollfd waiting = {.fd = pairs[i].client, .events = POLLIN};
        expect_equal(must(poll(&waiting, 1, 8000)), 1);
        expect_equal(must(recv(pairs[i].client, word, 8, MSG_WAITALL)), 8);
        expect(memcmp(word, "question", 8) == 0);
        must(shutdown(pairs[i].client, SHUT_WR));
    }
    reap_success(child);
    ok();
}
