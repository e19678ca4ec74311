// UNIX socket pairs of all three kinds with data waiting, half closed, options, ends in two processes.
#include "victim.h"

static int option(int fd, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    must(getsockopt(fd, SOL_SOCKET, name, &value, &size));
    return value;
}

int main(void)
{
    int stream[2], datagram[2], packets[2], half[2], between[2], dead[2], asking[2];
    char text[70000], back[70000];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream));
    must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, datagram));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets));
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, half));
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, between));
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, dead));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, asking));
    fill(text, sizeof text, 1);
    must(send(stream[0], text, 60000, 0));
    must(send(stream[0], text + 60000, 10000, 0));
    must(send(stream[1], "other way", 9, 0));
    must(send(datagram[0], "one", 3, 0));
    must(send(datagram[0], "", 0, 0));
    must(send(datagram[0], "three", 5, 0));
    must(send(packets[1], "packet one", 10, 0));
    must(send(packets[1], "two", 3, 0));
    must(send(half[0], "last words", 10, 0));
    must(shutdown(half[0], SHUT_WR));
    must(send(dead[0], "testament", 9, 0));
    must(close(dead[0]));
    int size = 100000, on = 1;
    must(setsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    must(setsockopt(stream[1], SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    must(setsockopt(asking[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    struct timeval limit = {5, 250000};
    must(setsockopt(stream[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    int send_size = option(stream[0], SO_SNDBUF), receive_size = option(stream[1], SO_RCVBUF);
    pid_t pid = must(fork());
    if (pid == 0) {
        close(between[0]);
        expect_equal(recv(between[1], back, 100, 0), 6);
        must(send(between[1], "answer", 6, 0));
        _exit(0);
    }
    close(between[1]);
    nap_ms(5);
    ready();
    wait_verify();
    for (size_t done = 0; done < sizeof text;) {
        ssize_t got = must(recv(stream[1], back + done, sizeof back - done, MSG_DONTWAIT));
        expect(got > 0);
        done += got;
    }
    expect(memcmp(text, back, sizeof text) == 0);
    expect_equal(must(recv(stream[0], back, 100, 0)), 9);
    expect_equal(must(recv(datagram[1], back, 100, 0)), 3);
    expect_equal(must(recv(datagram[1], back, 100, 0)), 0);
    expect_equal(must(recv(datagram[1], back, 100, 0)), 5);
    expect(recv(datagram[1], back, 100, 0) == -1 && errno == EAGAIN);
    expect_equal(must(recv(packets[0], back, 100, 0)), 10);
    expect_equal(must(recv(packets[0], back, 2, MSG_TRUNC)), 3);
    expect_equal(must(recv(half[1], back, 100, 0)), 10);
    expect_equal(must(recv(half[1], back, 100, 0)), 0);
    must(send(half[1], "still", 5, 0));
    expect_equal(must(recv(half[0], back, 100, 0)), 5);
    expect(send(half[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    expect_equal(must(recv(dead[1], back, 100, 0)), 9);
    expect_equal(must(recv(dead[1], back, 100, 0)), 0);
    expect(send(dead[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    expect_equal(option(stream[0], SO_SNDBUF), send_size);
    expect_equal(option(stream[1], SO_RCVBUF), receive_size);
    expect_equal(option(asking[0], SO_PASSCRED), 1);
    socklen_t length = sizeof limit;
    must(getsockopt(stream[1], SOL_SOCKET, SO_RCVTIMEO, &limit, &length));
    expect(limit.tv_sec == 5 && limit.tv_usec >= 245000 && limit.tv_usec <= 255000);
    expect_equal(must(fcntl(stream[0], F_GETFD)), FD_CLOEXEC);
    must(send(between[0], "asking", 6, 0));
    expect_equal(must(recv(between[0], back, 100, 0)), 6);
    reap_success(pid);
    expect_equal(must(recv(between[0], back, 100, 0)), 0);
    ok();
}
