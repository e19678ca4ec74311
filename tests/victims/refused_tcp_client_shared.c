// refused: the client 127\.0\.0\.1:[0-9]+ waits to be accepted at
// A TCP listener that shares its address (SO_REUSEPORT) with one of a process outside the tree, with clients whom neither accepts: which of both gets
// a client that is put back nobody can say.
#include "victim.h"
#include <netinet/in.h>

enum { CLIENTS = 16 };

static int listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(7300)};
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), on = 1;
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    must(listen(fd, CLIENTS));
    return fd;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(7300)};
    int own, accepted = 0;
    pid_t between = must(fork());
    if (between == 0) {
        // Its child is nobody's of the tree when it has ended.
        if (must(fork()) == 0) {
            listener();
            say("other", "listens");
            for (int i = 0; i < 6000 && access("result", F_OK) != 0; i++)
                nap_ms(20);
        }
        _exit(0);
    }
    reap_success(between);
    while (access("other", F_OK) != 0)
        nap_ms(1);
    own = listener();
    for (int i = 0; i < CLIENTS; i++) {
        int client = must(socket(AF_INET, SOCK_STREAM, 0));
        must(connect(client, (struct sockaddr *)&address, sizeof address));
    }
    nap_ms(20);
    ready();
    wait_verify();
    while (accept(own, NULL, NULL) >= 0)
        accepted++;
    expect(errno == EAGAIN && accepted > 0 && accepted < CLIENTS);
    ok();
}
