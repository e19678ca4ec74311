// Four UDP sockets and four TCP listeners that each share an address, with a program that always chooses the third that came, whatever its number: it is
// the third after the restart too, and the program still chooses.
#include "victim.h"
#include <linux/filter.h>
#include <netinet/in.h>

enum { members = 4, chosen = 2 };

static struct sockaddr_in address = {.sin_family = AF_INET};

// The order in which they come is not that of their numbers.
static void group(int type, int fds[members])
{
    static const int order[members] = {2, 0, 3, 1};
    int on = 1, made[members];
    for (int i = 0; i < members; i++) {
        made[i] = must(socket(AF_INET, type | SOCK_NONBLOCK, 0));
        must(setsockopt(made[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
    }
    address.sin_port = 0;
    for (int i = 0; i < members; i++) {
        fds[i] = made[order[i]];
        must(bind(fds[i], (struct sockaddr *)&address, sizeof address));
        socklen_t size = sizeof address;
        must(getsockname(fds[i], (struct sockaddr *)&address, &size));
        if (type == SOCK_STREAM)
            must(listen(fds[i], 5));
    }
    struct sock_filter third = BPF_STMT(BPF_RET | BPF_K, chosen);
    struct sock_fprog program = {1, &third};
    must(setsockopt(fds[1], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program));
}

static void datagrams(const int fds[members], const struct sockaddr_in *to)
{
    for (int i = 0; i < 8; i++) {
        char text[8];
        int sender = must(socket(AF_INET, SOCK_DGRAM, 0));
        must(sendto(sender, "hello", 5, 0, (const struct sockaddr *)to, sizeof *to));
        expect_equal(must(recv(fds[chosen], text, sizeof text, 0)), 5);
        close(sender);
    }
}

static void clients(const int fds[members], const struct sockaddr_in *to)
{
    for (int i = 0; i < 8; i++) {
        int client = must(socket(AF_INET, SOCK_STREAM, 0));
        must(connect(client, (const struct sockaddr *)to, sizeof *to));
        struct pollfd wait = {fds[chosen], POLLIN, 0};
        expect_equal(must(poll(&wait, 1, 5000)), 1);
        int server = must(accept(fds[chosen], NULL, NULL));
        close(client);
        close(server);
    }
}

int main(void)
{
    int udp[members], tcp[members];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    group(SOCK_DGRAM, udp);
    struct sockaddr_in udp_address = address;
    group(SOCK_STREAM, tcp);
    datagrams(udp, &udp_address);
    ready();
    wait_verify();
    datagrams(udp, &udp_address);
    clients(tcp, &address);
    ok();
}
