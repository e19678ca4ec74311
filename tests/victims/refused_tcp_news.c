// refused: news of what it has sent
// A TCP connection with a transmit timestamp in its error queue.
#include "victim.h"
#include <linux/net_tstamp.h>
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = must(socket(AF_INET, SOCK_STREAM, 0)), client = must(socket(AF_INET, SOCK_STREAM, 0));
    int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID;
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(listen(listener, 3));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    int server = must(accept(listener, NULL, NULL));
    must(setsockopt(client, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags));
    must(send(client, "hello", 5, 0));
    struct pollfd wait = {client, 0, 0};
    expect_equal(must(poll(&wait, 1, 5000)), 1);
    ready();
    wait_verify();
    char control[512], text[8];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    must(recvmsg(client, &message, MSG_ERRQUEUE | MSG_DONTWAIT));
    expect_equal(must(recv(server, text, 8, 0)), 5);
    ok();
}
