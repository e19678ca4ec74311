// refused: begun with Multipath TCP \(MPTCP\) and went on as plain TCP
// A client that asked for Multipath TCP and got plain TCP.
#include "victim.h"
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int client = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */), listener = must(socket(AF_INET, SOCK_STREAM, 0));
    if (client < 0)
        skip("no MPTCP in this kernel");
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(listen(listener, 3));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    int server = must(accept(listener, NULL, NULL));
    ready();
    wait_verify();
    char text[8];
    must(send(client, "hello", 5, 0));
    expect_equal(must(recv(server, text, 8, 0)), 5);
    ok();
}
