// A TCP connection whose other end has said something, closed and gone away with its process.
#include "victim.h"
#include <netinet/in.h>

static int listener;

static void serve(void)
{
    int fd = must(accept(listener, NULL, NULL));
    must(send(fd, "hello", 5, 0));
    _exit(0);
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    listener = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(listener, (struct sockaddr *)&address, size));
    must(listen(listener, 1));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(fcntl(fd, F_SETFL, O_NONBLOCK));
    if (connect(fd, (struct sockaddr *)&address, size) != 0 && errno != EINPROGRESS)
        skip("no loopback network in this cage");
    pid_t server = must(fork());
    if (server == 0)
        serve();
    reap_success(server);
    close(listener);
    must(fcntl(fd, F_SETFL, 0));
    ready();
    wait_verify();
    char text[8];
    expect_equal(must(recv(fd, text, 8, 0)), 5);
    expect(memcmp(text, "hello", 5) == 0);
    expect_equal(must(recv(fd, text, 8, 0)), 0);
    ok();
}
