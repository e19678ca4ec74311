// refused: the client 127\.0\.0\.1:[0-9]+ waits to be accepted at
// A TCP listener with a client that its program does not accept, and that has sent something. It hears one network
// interface only, and a client is put back by another.
#include "victim.h"
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = must(socket(AF_INET, SOCK_STREAM, 0)), client = must(socket(AF_INET, SOCK_STREAM, 0));
    must(setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(listen(listener, 3));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    must(send(client, "hello", 5, 0));
    ready();
    wait_verify();
    int server = must(accept(listener, NULL, NULL));
    char text[8];
    expect_equal(must(recv(server, text, 8, 0)), 5);
    ok();
}
