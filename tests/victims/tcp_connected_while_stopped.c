// A process that was stopped while it waited in connect(2), whose handshake came to its end meanwhile: its call, made again, succeeds.
#include "victim.h"
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

int main(void)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {1, &nothing};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    must(bind(listener, (struct sockaddr *)&address, size));
    must(listen(listener, 8));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    pid_t child = must(fork());
    if (child == 0) {
        must(connect(fd, (struct sockaddr *)&address, sizeof address));
        must(send(fd, "word", 4, 0));
        pause();
    }
    struct tcp_info info = {0};
    while (size = sizeof info, must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size)), info.tcpi_state != TCP_SYN_SENT)
        nap_ms(5);
    must(kill(child, SIGSTOP));
    int status;
    expect_equal(must(waitpid(child, &status, WUNTRACED)), child);
    expect(WIFSTOPPED(status));
    must(setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
    // The first segment is sent again after a second.
    int served = must(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    ready();
    wait_verify();
    must(kill(child, SIGCONT));
    char word[8];
    expect_equal(must(recv(served, word, sizeof word, 0)), 4);
    must(kill(child, SIGKILL));
    expect_equal(must(waitpid(child, &status, 0)), child);
    expect(WIFSIGNALED(status));
    ok();
}
