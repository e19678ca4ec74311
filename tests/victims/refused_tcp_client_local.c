// refused: the client \[fe80::5\]:[0-9]+ waits to be accepted at
// A TCP listener with a client, not accepted yet, whose address means something on its network interface only (fe80::, RFC 4007).
#include "victim.h"
#include <net/if.h>
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6}, to = {.sin6_family = AF_INET6, .sin6_addr.s6_addr = {0xfe, 0x80, [15] = 5}, .sin6_scope_id = if_nametoindex("lo")};
    socklen_t size = sizeof address;
    if (system("ip -6 addr add fe80::5/64 dev lo nodad") != 0)
        skip("no ip(8), or no IPv6");
    int listener = must(socket(AF_INET6, SOCK_STREAM, 0)), client = must(socket(AF_INET6, SOCK_STREAM, 0));
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    to.sin6_port = address.sin6_port;
    must(listen(listener, 3));
    // The kernel makes an address's route a moment later, from a work queue (net/ipv6/addrconf.c).
    for (int tries = 0; connect(client, (struct sockaddr *)&to, sizeof to) < 0; nap_ms(10))
        if (errno != ENETUNREACH || ++tries > 3000)
            fail("connect: %s", strerror(errno));
    must(send(client, "hello", 5, 0));
    ready();
    wait_verify();
    int server = must(accept(listener, NULL, NULL));
    char text[8];
    expect_equal(must(recv(server, text, 8, 0)), 5);
    ok();
}
