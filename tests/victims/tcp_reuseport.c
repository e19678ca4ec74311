// Listeners that share a port (SO_REUSEPORT), each with a connection that came by it; and sockets that are only bound, or not even that.
#include "victim.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { LISTENERS = 4 };

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    must(getsockopt(fd, level, name, &value, &size));
    return value;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, bound = address;
    socklen_t size = sizeof address;
    int listeners[LISTENERS], clients[64], servers[64], made = 0;
    for (int i = 0; i < LISTENERS; i++) {
        listeners[i] = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        must(setsockopt(listeners[i], SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)));
        must(bind(listeners[i], (struct sockaddr *)&address, size));
        must(listen(listeners[i], 50));
        must(getsockname(listeners[i], (struct sockaddr *)&address, &size));
    }
    int plain = must(socket(AF_INET, SOCK_STREAM, 0)), only_bound = must(socket(AF_INET, SOCK_STREAM, 0));
    must(setsockopt(plain, IPPROTO_TCP, TCP_MAXSEG, &(int){1000}, sizeof(int)));
    must(bind(only_bound, (struct sockaddr *)&bound, size));
    must(getsockname(only_bound, (struct sockaddr *)&bound, &size));
    for (; made < 64; made++) {
        clients[made] = must(socket(AF_INET, SOCK_STREAM, 0));
        if (connect(clients[made], (struct sockaddr *)&address, size) != 0)
            skip("no loopback network in this cage");
        servers[made] = -1;
        for (int i = 0; servers[made] < 0; i = (i + 1) % LISTENERS)
            servers[made] = accept(listeners[i], NULL, NULL);
    }
    ready();
    wait_verify();
    for (int i = 0; i < made; i++) {
        char word[8];
        expect_equal(must(send(clients[i], "word", 4, 0)), 4);
        expect_equal(must(recv(servers[i], word, sizeof word, 0)), 4);
        expect_equal(option(servers[i], SOL_SOCKET, SO_REUSEPORT), 1);
    }
    struct sockaddr_in now = {0};
    must(getsockname(only_bound, (struct sockaddr *)&now, &size));
    expect(memcmp(&now, &bound, size) == 0);
    expect_equal(option(plain, IPPROTO_TCP, TCP_MAXSEG), 1000);
    // The kernel still shares clients out among them.
    int used[LISTENERS] = {0};
    for (int i = 0; i < 100; i++) {
        int client = must(socket(AF_INET, SOCK_STREAM, 0)), server = -1;
        must(connect(client, (struct sockaddr *)&address, size));
        for (int k = 0; server < 0; k = (k + 1) % LISTENERS)
            if ((server = accept(listeners[k], NULL, NULL)) >= 0)
                used[k]++;
        close(client);
        close(server);
    }
    for (int i = 0; i < LISTENERS; i++)
        expect(used[i] > 0);
    ok();
}
