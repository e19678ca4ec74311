// A client that has sent as much as goes to a listener that does not accept it: more than a connection takes at first.
#include "victim.h"
#include <arpa/inet.h>
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(7200)};
    int listener = must(socket(AF_INET, SOCK_STREAM, 0)), client = must(socket(AF_INET, SOCK_STREAM, 0)), waiting = 0;
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(listen(listener, 4));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    static unsigned char bytes[1460];
    long sent = 0, length;
    for (int idle = 0; idle < 30;) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (sent + i) * 7 + (sent + i) / 509;
        if ((length = send(client, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
            sent += length;
            idle = 0;
            continue;
        }
        expect_equal(errno, EAGAIN);
        nap_ms(10);
        idle++;
    }
    must(ioctl(client, TIOCOUTQ, &waiting));
    expect(sent - waiting > 65536);
    ready();
    wait_verify();
    int server = must(accept(listener, NULL, NULL));
    must(shutdown(client, SHUT_WR));
    long got = 0;
    while ((length = must(recv(server, bytes, sizeof bytes, 0))) > 0)
        for (long i = 0; i < length; i++, got++)
            expect_equal(bytes[i], (unsigned char)(got * 7 + got / 509));
    expect_equal(got, sent);
    must(send(server, "done", 4, 0));
    expect_equal(must(recv(client, bytes, sizeof bytes, 0)), 4);
    ok();
}
