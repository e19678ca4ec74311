// Three listeners that share an address (SO_REUSEPORT), with clients whom none of them has accepted. After the restart each client is accepted once, with
// what it has sent, and hears the answer.
#include "victim.h"
#include <arpa/inet.h>
#include <netinet/in.h>

enum { LISTENERS = 3, CLIENTS = 24 };

int main(void)
{
    int listeners[LISTENERS], clients[CLIENTS], on = 1, seen[CLIENTS] = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(7100)};
    for (int i = 0; i < LISTENERS; i++) {
        listeners[i] = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        must(setsockopt(listeners[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
        must(bind(listeners[i], (struct sockaddr *)&address, sizeof address));
        must(listen(listeners[i], CLIENTS));
    }
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = must(socket(AF_INET, SOCK_STREAM, 0));
        must(connect(clients[i], (struct sockaddr *)&address, sizeof address));
        if (i % 4 != 0)
            must(send(clients[i], &i, sizeof i, 0));
    }
    nap_ms(20);
    ready();
    wait_verify();
    for (int i = 0; i < CLIENTS; i += 4)
        must(send(clients[i], &i, sizeof i, 0));
    int accepted = 0;
    for (int which = 0; which < LISTENERS; which++) {
        int server, backlog = 0, number;
        while ((server = accept(listeners[which], NULL, NULL)) >= 0) {
            socklen_t size = sizeof on;
            must(getsockopt(server, SOL_SOCKET, SO_REUSEPORT, &on, &size));
            expect_equal(on, 1);
            expect_equal(must(recv(server, &number, sizeof number, 0)), sizeof number);
            expect(number >= 0 && number < CLIENTS && seen[number]++ == 0);
            must(send(server, &number, sizeof number, 0));
            close(server);
            backlog++;
        }
        expect_equal(errno, EAGAIN);
        accepted += backlog;
    }
    expect_equal(accepted, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        int number;
        expect_equal(must(recv(clients[i], &number, sizeof number, 0)), sizeof number);
        expect_equal(number, i);
        expect_equal(must(recv(clients[i], &number, sizeof number, 0)), 0);
    }
    ok();
}
