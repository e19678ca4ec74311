// refused: one of Multipath TCP \(MPTCP\)
// A connection of Multipath TCP, both ends of it.
#include "victim.h"
#include <netinet/in.h>

int main(void)
{
    int listener = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
    if (listener < 0)
        skip("no MPTCP in this kernel");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(listen(listener, 3));
    int client = must(socket(AF_INET, SOCK_STREAM, 262));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    int server = must(accept(listener, NULL, NULL));
    ready();
    wait_verify();
    char text[8];
    must(send(client, "hello", 5, 0));
    expect_equal(must(recv(server, text, 8, 0)), 5);
    ok();
}
