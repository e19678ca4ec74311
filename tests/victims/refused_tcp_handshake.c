// refused: has begun a connection to .* handshake is not over
// A handshake that is over for its client only: a filter of the listener's drops what comes behind the first segment.
#include "victim.h"
#include <linux/filter.h>
#include <netinet/in.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = must(socket(AF_INET, SOCK_STREAM, 0)), client = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(listen(listener, 3));
    // The flags stand at 13 of the TCP header; only SYN passes.
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {4, code};
    must(setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    ready();
    wait_verify();
    must(setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &program, sizeof program));
    must(send(client, "hello", 5, 0));
    int server = must(accept(listener, NULL, NULL));
    char text[8];
    expect_equal(must(recv(server, text, 8, 0)), 5);
    ok();
}
