// refused: TCP_SAVE_SYN
// An accepted connection whose first segment the kernel has kept for the program.
#include "victim.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = must(socket(AF_INET, SOCK_STREAM, 0)), client = must(socket(AF_INET, SOCK_STREAM, 0)), on = 1;
    must(setsockopt(listener, IPPROTO_TCP, TCP_SAVE_SYN, &on, sizeof on));
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(listen(listener, 3));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    int server = must(accept(listener, NULL, NULL));
    ready();
    wait_verify();
    char syn[256];
    size = sizeof syn;
    must(getsockopt(server, IPPROTO_TCP, TCP_SAVED_SYN, syn, &size));
    expect(size > 40);
    ok();
}
