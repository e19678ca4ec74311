// TCP listeners whose clients, of this program itself, are not accepted for long: with nothing sent, with much, closed on their side, over IPv4, IPv6 and
// IPv4 at a listener of both; and at listeners that wait for a client's first bytes (TCP_DEFER_ACCEPT). After the restart they are accepted in their order, with every byte, and the conversations go on in both directions.
#include "victim.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { KINDS = 4, DEFERRED = 3, CLIENTS = 5 };
static const int lengths[CLIENTS] = {0, 5, 40000, 1, 3000};

static char pattern(int client, int at) { return client * 31 + at * 7 + at / 509; }

static void send_all(int fd, int client, int from, int length)
{
    char bytes[4096];
    for (int done = 0; done < length;) {
        int piece = length - done < (int)sizeof bytes ? length - done : (int)sizeof bytes;
        for (int i = 0; i < piece; i++)
            bytes[i] = pattern(client, from + done + i);
        done += must(send(fd, bytes, piece, 0));
    }
}

static void receive_all(int fd, int client, int from, int length)
{
    char bytes[4096];
    for (int done = 0; done < length;) {
        int got = must(recv(fd, bytes, length - done < (int)sizeof bytes ? length - done : (int)sizeof bytes, 0));
        if (got == 0)
            fail("client %d: end after %d of %d bytes", client, done, length);
        for (int i = 0; i < got; i++)
            expect_equal(bytes[i], pattern(client, from + done + i));
        done += got;
    }
}

int main(void)
{
    int listeners[KINDS], clients[KINDS][CLIENTS];
    struct sockaddr_storage names[KINDS][CLIENTS];
    for (int kind = 0; kind < KINDS; kind++) {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = kind == 1 ? (struct in6_addr)IN6ADDR_LOOPBACK_INIT : (struct in6_addr)IN6ADDR_ANY_INIT};
        struct sockaddr *address = kind == 0 || kind == DEFERRED ? (void *)&four : (void *)&six;
        socklen_t size = kind == 0 || kind == DEFERRED ? sizeof four : sizeof six, length;
        int off = 0, seconds = 300;
        listeners[kind] = must(socket(address->sa_family, SOCK_STREAM, 0));
        if (kind == 2)
            must(setsockopt(listeners[kind], IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
        must(bind(listeners[kind], address, size));
        must(getsockname(listeners[kind], address, &size));
        if (kind == DEFERRED)
            must(setsockopt(listeners[kind], IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds));
        must(listen(listeners[kind], 16));
        if (kind == 2) {
            four.sin_port = six.sin6_port;
            address = (void *)&four;
            size = sizeof four;
        }
        for (int i = 0; i < CLIENTS; i++) {
            clients[kind][i] = must(socket(address->sa_family, SOCK_STREAM, 0));
            must(connect(clients[kind][i], address, size));
            length = sizeof names[kind][i];
            must(getsockname(clients[kind][i], (struct sockaddr *)&names[kind][i], &length));
            send_all(clients[kind][i], i, 0, lengths[i]);
            if (i == 3)
                must(shutdown(clients[kind][i], SHUT_WR));
        }
    }
    nap_ms(20);
    ready();
    wait_verify();
    send_all(clients[DEFERRED][0], 0, lengths[0], 2000); // or it would never be let through

    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < CLIENTS; i++) {
            struct sockaddr_storage who;
            socklen_t size = sizeof who;
            int server = must(accept(listeners[kind], (struct sockaddr *)&who, &size));
            // The client that has sent nothing comes when it may: among the others, or behind them.
            int first = i;
            for (i = 0; i < CLIENTS && ((struct sockaddr_in *)&who)->sin_port != ((struct sockaddr_in *)&names[kind][i])->sin_port; i++)
                ;
            expect(i == first || kind == DEFERRED);
            int client = clients[kind][i];
            receive_all(server, i, 0, lengths[i]);
            if (i == 3) {
                char one;
                expect_equal(must(recv(server, &one, 1, 0)), 0);
            } else {
                if (kind != DEFERRED || i > 0)
                    send_all(client, i, lengths[i], 2000);
                receive_all(server, i, lengths[i], 2000);
            }
            send_all(server, i + 7, 0, 30000);
            receive_all(client, i + 7, 0, 30000);
            close(server);
            char one;
            expect_equal(must(recv(client, &one, 1, 0)), 0);
            i = first;
        }
    ok();
}
