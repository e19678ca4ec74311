// TCP connections that have ended in one direction or in both, before or behind data that waits.
#include "victim.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { LARGE = 3 << 20 };

static void connect_pair(int *client, int *server, int family)
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
    *client = must(socket(family, SOCK_STREAM, 0));
    if (connect(*client, (struct sockaddr *)&name, size) != 0)
        skip("no loopback network in this cage");
    *server = must(accept(listener, NULL, NULL));
    close(listener);
}

static int state(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size));
    return info.tcpi_state;
}

static size_t fill_up(int fd)
{
    static char bytes[65536];
    size_t done = 0;
    while (done < LARGE) {
        ssize_t sent = send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            break;
        done += (size_t)must(sent);
    }
    return done;
}

static void expect_end(int fd)
{
    char byte;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    expect_equal(must(poll(&waiting, 1, 8000)), 1);
    expect_equal(must(recv(fd, &byte, 1, 0)), 0);
}

static void expect_text(int fd, const char *text)
{
    char bytes[16];
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    expect_equal(must(poll(&waiting, 1, 8000)), 1);
    expect_equal(must(recv(fd, bytes, strlen(text), MSG_WAITALL)), (long long)strlen(text));
    if (memcmp(bytes, text, strlen(text)) != 0)
        fail("%.*s came in the place of %s", (int)strlen(text), bytes, text);
}

static void put(int fd, const char *text) { expect_equal(must(send(fd, text, strlen(text), MSG_NOSIGNAL)), (long long)strlen(text)); }

static void expect_broken_pipe(int fd)
{
    expect_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    expect_equal(errno, EPIPE);
}

static void await_state(int fd, int wanted)
{
    for (int i = 0; i < 500 && state(fd) != wanted; i++)
        nap_ms(10);
    expect_equal(state(fd), wanted);
}

int main(void)
{
    int half[2][2], behind[2], last[2], over[2][2], deaf[2];
    for (int i = 0; i < 2; i++) {
        int family = i == 0 ? AF_INET : AF_INET6;
        // One has said all, the other not, and data waits on both sides.
        connect_pair(&half[i][0], &half[i][1], family);
        put(half[i][0], "before");
        must(shutdown(half[i][0], SHUT_WR));
        put(half[i][1], "after");
        await_state(half[i][0], TCP_FIN_WAIT2);
        await_state(half[i][1], TCP_CLOSE_WAIT);
        // Both have said all; one has not read everything.
        connect_pair(&over[i][0], &over[i][1], family);
        put(over[i][1], "farewell");
        must(shutdown(over[i][0], SHUT_WR));
        must(shutdown(over[i][1], SHUT_WR));
        await_state(over[i][0], TCP_CLOSE);
        await_state(over[i][1], TCP_CLOSE);
    }
    // The end waits behind more data than the other takes.
    connect_pair(&behind[0], &behind[1], AF_INET);
    size_t filled = fill_up(behind[0]);
    must(shutdown(behind[0], SHUT_WR));
    expect_equal(state(behind[0]), TCP_FIN_WAIT1);
    expect_equal(state(behind[1]), TCP_ESTABLISHED);
    // The same of one whose peer had ended before.
    connect_pair(&last[0], &last[1], AF_INET6);
    size_t last_filled = fill_up(last[0]);
    must(shutdown(last[1], SHUT_WR));
    await_state(last[0], TCP_CLOSE_WAIT);
    must(shutdown(last[0], SHUT_WR));
    expect_equal(state(last[0]), TCP_LAST_ACK);
    // One does not want to hear.
    connect_pair(&deaf[0], &deaf[1], AF_INET);
    must(shutdown(deaf[0], SHUT_RD));

    ready();
    wait_verify();

    for (int i = 0; i < 2; i++) {
        expect_equal(state(half[i][0]), TCP_FIN_WAIT2);
        expect_equal(state(half[i][1]), TCP_CLOSE_WAIT);
        expect_text(half[i][1], "before");
        expect_end(half[i][1]);
        expect_text(half[i][0], "after");
        expect_broken_pipe(half[i][0]);
        put(half[i][1], "more");
        expect_text(half[i][0], "more");
        must(shutdown(half[i][1], SHUT_WR));
        expect_end(half[i][0]);
        await_state(half[i][1], TCP_CLOSE);
        expect_equal(state(over[i][0]), TCP_CLOSE);
        expect_text(over[i][0], "farewell");
        expect_end(over[i][0]);
        expect_end(over[i][1]);
        expect_broken_pipe(over[i][1]);
        int error = -1;
        socklen_t size = sizeof error;
        must(getsockopt(over[i][0], SOL_SOCKET, SO_ERROR, &error, &size));
        expect_equal(error, 0);
    }
    expect_broken_pipe(behind[0]);
    expect_broken_pipe(last[0]);
    static char bytes[65536];
    for (int i = 0; i < 2; i++) {
        size_t got = 0;
        ssize_t some;
        while ((some = must(recv(i == 0 ? behind[1] : last[1], bytes, sizeof bytes, 0))) > 0)
            got += (size_t)some;
        expect_equal(got, i == 0 ? filled : last_filled);
    }
    await_state(behind[0], TCP_FIN_WAIT2);
    await_state(last[0], TCP_CLOSE);
    expect_end(last[0]);
    put(behind[1], "answer");
    expect_text(behind[0], "answer");
    expect_end(deaf[0]);
    put(deaf[0], "talk");
    expect_text(deaf[1], "talk");
    ok();
}
