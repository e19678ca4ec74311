// refused: has sent already
// A listening UNIX socket with a client that has not been accepted and has sent something with a descriptor.
#include "victim.h"
#include <sys/un.h>

int main(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "listening"};
    int listener = must(socket(AF_UNIX, SOCK_STREAM, 0)), client = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(listen(listener, 3));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &client, sizeof client);
    struct iovec part = {"hello", 5};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    must(sendmsg(client, &message, 0));
    ready();
    wait_verify();
    int server = must(accept(listener, NULL, NULL));
    char text[8];
    expect_equal(must(recv(server, text, 8, 0)), 5);
    ok();
}
