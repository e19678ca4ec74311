// Connections that have only been asked for: by a call that has returned, and by one that still waits. And a listener with a
// classic BPF filter, which drops all that comes until the end.
#include "victim.h"
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static struct sockaddr_in address;
static int blocking;
static atomic_int connected;

static void *wait_for_connection(void *unused)
{
    must(connect(blocking, (struct sockaddr *)&address, sizeof address));
    atomic_store(&connected, 1);
    return unused;
}

static int state(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size));
    return info.tcpi_state;
}

int main(void)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {1, &nothing};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(listener, (struct sockaddr *)&address, size));
    must(listen(listener, 8));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno != EINPROGRESS)
        skip("no loopback network in this cage");
    blocking = must(socket(AF_INET, SOCK_STREAM, 0));
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, wait_for_connection, NULL));
    struct sockaddr_in before, after;
    size = sizeof before;
    must(getsockname(fd, (struct sockaddr *)&before, &size));
    while (state(blocking) != TCP_SYN_SENT)
        nap_ms(5);
    ready();
    wait_verify();
    size = sizeof after;
    must(getsockname(fd, (struct sockaddr *)&after, &size));
    expect(memcmp(&before, &after, size) == 0);
    expect_equal(state(fd), TCP_SYN_SENT);
    expect_equal(atomic_load(&connected), 0);
    must(setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    // The first segment is sent again after one, two, four seconds.
    expect_equal(must(poll(&waiting, 1, 9000)), 1);
    int error = -1;
    size = sizeof error;
    must(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
    expect_equal(error, 0);
    must_zero(pthread_join(thread, NULL));
    int clients[2] = {fd, blocking}, servers[2];
    for (int i = 0; i < 2; i++)
        servers[i] = must(accept(listener, NULL, NULL));
    for (int i = 0; i < 2; i++)
        expect_equal(must(send(clients[i], "word", 4, 0)), 4);
    for (int i = 0; i < 2; i++) {
        char word[8];
        expect_equal(must(recv(servers[i], word, sizeof word, 0)), 4);
    }
    ok();
}
