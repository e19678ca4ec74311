// snapshot: no, its processes are at work
// A server that always has clients who wait to be accepted, and clients that connect again and again: none is reset, and none waits in vain.
#include "victim.h"
#include <netinet/in.h>

enum { clients = 4, backlog = 64 };

static struct sockaddr_in address = {.sin_family = AF_INET};
static struct {
    atomic_bool enough;
    atomic_int answered[clients];
} *shared;

static void *serve(void *listener)
{
    for (;;) {
        int fd = must(accept4((int)(intptr_t)listener, NULL, NULL, SOCK_CLOEXEC));
        uint64_t question;
        nap_ms(2); // slower than they come
        expect_equal(must(recv(fd, &question, sizeof question, MSG_WAITALL)), sizeof question);
        question = mix(question);
        must(send(fd, &question, sizeof question, 0));
        close(fd);
    }
    return NULL;
}

static void ask(int number)
{
    for (uint64_t turn = 0; !shared->enough; turn++) {
        int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        must(connect(fd, (struct sockaddr *)&address, sizeof address));
        uint64_t question = number * 1000000 + turn, answer;
        must(send(fd, &question, sizeof question, 0));
        expect_equal(must(recv(fd, &answer, sizeof answer, MSG_WAITALL)), sizeof answer);
        expect(answer == mix(question));
        expect_equal(must(recv(fd, &answer, 1, 0)), 0);
        close(fd);
        shared->answered[number]++;
    }
    _exit(0);
}

int main(void)
{
    pid_t children[clients];
    pthread_t server;
    shared = shared_memory(4096);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int on = 1;
    must(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)); // connections that are over would keep the address
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    socklen_t size = sizeof address;
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    must(listen(listener, backlog));
    for (int i = 0; i < clients; i++) {
        children[i] = must(fork());
        if (children[i] == 0) {
            close(listener);
            ask(i);
        }
    }
    must_zero(pthread_create(&server, NULL, serve, (void *)(intptr_t)listener));
    for (int i = 0; i < clients; i++)
        while (shared->answered[i] == 0)
            nap_ms(2);
    ready();
    wait_verify();
    for (int i = 0; i < clients; i++)
        for (int before = shared->answered[i]; shared->answered[i] == before;)
            nap_ms(2);
    shared->enough = true;
    for (int i = 0; i < clients; i++)
        reap_success(children[i]);
    ok();
}
