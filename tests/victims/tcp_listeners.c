// Listening TCP sockets, IPv4 and IPv6, with options, accept after the restart at the same port.
#include "victim.h"
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    must(getsockopt(fd, level, name, &value, &size));
    return value;
}

static void set(int fd, int level, int name, int value) { must(setsockopt(fd, level, name, &value, sizeof value)); }

static void use(int fd, const struct sockaddr_storage *before, socklen_t length)
{
    struct sockaddr_storage own;
    socklen_t own_length = sizeof own;
    must(getsockname(fd, (struct sockaddr *)&own, &own_length));
    expect(own_length == length && memcmp(&own, before, length) == 0);
    expect_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    expect_equal(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    expect_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    expect_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    expect_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    // The cage may have no loopback that is up: then a connection cannot be tried.
    int client = must(socket(own.ss_family, SOCK_STREAM, 0));
    if (connect(client, (struct sockaddr *)&own, own_length) != 0) {
        expect(errno == ENETUNREACH || errno == EADDRNOTAVAIL);
        return;
    }
    int server = must(accept(fd, NULL, NULL));
    char text[10];
    must(send(client, "hello", 5, 0));
    expect_equal(must(recv(server, text, 10, 0)), 5);
    // Reset at the end, so that the port is not held by a connection in TIME_WAIT.
    must(setsockopt(client, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
    close(client);
    close(server);
}

int main(void)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *addresses[] = {(struct sockaddr *)&four, (struct sockaddr *)&six};
    socklen_t sizes[] = {sizeof four, sizeof six}, lengths[2];
    struct sockaddr_storage before[2];
    int fds[2] = {-1, -1};
    for (int i = 0; i < 2; i++) {
        int fd = socket(addresses[i]->sa_family, SOCK_STREAM | SOCK_NONBLOCK * i, 0);
        if (fd < 0 || (i == 1 && bind(fd, addresses[i], sizes[i]) != 0))
            continue;
        if (i == 0)
            must(bind(fd, addresses[i], sizes[i]));
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
        must(listen(fd, 9));
        lengths[i] = sizeof before[i];
        must(getsockname(fd, (struct sockaddr *)&before[i], &lengths[i]));
        fds[i] = fd;
    }
    expect(fds[0] >= 0);
    ready();
    wait_verify();
    use(fds[0], &before[0], lengths[0]);
    if (fds[1] >= 0) {
        expect(must(fcntl(fds[1], F_GETFL)) & O_NONBLOCK);
        use(fds[1], &before[1], lengths[1]);
    }
    ok();
}
