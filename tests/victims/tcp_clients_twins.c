// Two clients that nobody has accepted, of the same address and port, to different addresses of ours: each comes back with what it has sent.
#include "victim.h"
#include <arpa/inet.h>
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET}, own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(6001)};
    socklen_t size = sizeof address;
    int listener = must(socket(AF_INET, SOCK_STREAM, 0)), on = 1, clients[2];
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(listen(listener, 16));
    for (int i = 0; i < 2; i++) {
        clients[i] = must(socket(AF_INET, SOCK_STREAM, 0));
        must(setsockopt(clients[i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
        must(bind(clients[i], (struct sockaddr *)&own, sizeof own));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
        must(connect(clients[i], (struct sockaddr *)&address, sizeof address));
        must(send(clients[i], "hello", 2 + i * 2, 0));
    }
    nap_ms(20);
    ready();
    wait_verify();
    char text[16];
    for (int i = 0; i < 2; i++) {
        int server = must(accept(listener, NULL, NULL));
        expect_equal(must(recv(server, text, sizeof text, 0)), 2 + i * 2);
    }
    ok();
}
