// Listeners of Multipath TCP as Go has them, over IPv4 and IPv6, with options; what one has accepted from a client of plain TCP goes on; and
// sockets that are new or only bound.
#include "victim.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { IPPROTO_MULTIPATH = 262 };

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    must(getsockopt(fd, level, name, &value, &size));
    return value;
}

static void set(int fd, int level, int name, int value) { must(setsockopt(fd, level, name, &value, sizeof value)); }

static void talk(int one, int two)
{
    char text[8];
    must(send(one, "hello", 5, 0));
    expect_equal(must(recv(two, text, 8, 0)), 5);
    must(send(two, "back", 4, 0));
    expect_equal(must(recv(one, text, 8, 0)), 4);
}

static int reach(const struct sockaddr_in6 *address, socklen_t size, int protocol)
{
    int fd = must(socket(address->sin6_family, SOCK_STREAM, protocol));
    must(connect(fd, (const struct sockaddr *)address, size));
    return fd;
}

static void name_of(int fd, struct sockaddr_in6 *address, socklen_t *size)
{
    *size = sizeof *address;
    must(getsockname(fd, (struct sockaddr *)address, size));
}

static void same_name(int fd, const struct sockaddr_in6 *address, socklen_t size)
{
    struct sockaddr_in6 now = {0};
    socklen_t length;
    name_of(fd, &now, &length);
    expect(length == size && memcmp(&now, address, size) == 0);
}

int main(void)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6}, at[3] = {0};
    socklen_t sizes[3];
    int fresh = socket(AF_INET, SOCK_STREAM, IPPROTO_MULTIPATH);
    if (fresh < 0)
        skip("no MPTCP in this kernel");
    set(fresh, IPPROTO_TCP, TCP_NODELAY, 1);
    int listeners[2] = {must(socket(AF_INET, SOCK_STREAM, IPPROTO_MULTIPATH)), must(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MULTIPATH))};
    set(listeners[1], IPPROTO_IPV6, IPV6_V6ONLY, 0);
    for (int i = 0; i < 2; i++) {
        set(listeners[i], SOL_SOCKET, SO_REUSEADDR, 1);
        set(listeners[i], SOL_SOCKET, SO_KEEPALIVE, 1);
        set(listeners[i], IPPROTO_TCP, TCP_NODELAY, 1);
        must(bind(listeners[i], i ? (struct sockaddr *)&six : (struct sockaddr *)&four, i ? sizeof six : sizeof four));
        must(listen(listeners[i], 9));
        name_of(listeners[i], &at[i], &sizes[i]);
    }
    int bound = must(socket(AF_INET, SOCK_STREAM, IPPROTO_MULTIPATH));
    must(bind(bound, (struct sockaddr *)&four, sizeof four));
    name_of(bound, &at[2], &sizes[2]);
    int plain = reach(&at[0], sizes[0], 0), accepted = must(accept(listeners[0], NULL, NULL));
    ready();
    wait_verify();
    talk(plain, accepted);
    expect_equal(option(accepted, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    expect_equal(option(fresh, SOL_SOCKET, SO_PROTOCOL), IPPROTO_MULTIPATH);
    expect_equal(option(fresh, IPPROTO_TCP, TCP_NODELAY), 1);
    same_name(bound, &at[2], sizes[2]);
    at[1].sin6_addr = in6addr_loopback;
    for (int i = 0; i < 2; i++) {
        expect_equal(option(listeners[i], SOL_SOCKET, SO_PROTOCOL), IPPROTO_MULTIPATH);
        expect_equal(option(listeners[i], SOL_SOCKET, SO_ACCEPTCONN), 1);
        expect_equal(option(listeners[i], SOL_SOCKET, SO_REUSEADDR), 1);
        expect_equal(option(listeners[i], SOL_SOCKET, SO_KEEPALIVE), 1);
        expect_equal(option(listeners[i], IPPROTO_TCP, TCP_NODELAY), 1);
        for (int j = 0; j < 2; j++) {
            int protocol = j ? IPPROTO_MULTIPATH : IPPROTO_TCP;
            int client = reach(&at[i], sizes[i], protocol), server;
            while ((server = accept(listeners[i], NULL, NULL)) < 0 && errno == EAGAIN)
                nap_ms(1);
            must(server);
            expect_equal(option(server, SOL_SOCKET, SO_PROTOCOL), protocol);
            talk(client, server);
            close(client);
            close(server);
        }
    }
    expect(must(fcntl(listeners[1], F_GETFL)) & O_NONBLOCK);
    expect_equal(option(listeners[1], IPPROTO_IPV6, IPV6_V6ONLY), 0);
    ok();
}
