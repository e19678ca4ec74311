// Urgent data: a byte that waits to be read out of band, in front of, between and behind others, in line, and one that has been read.
#include "victim.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { CASES = 6 };

static const struct {
    const char *before, *after;
    bool in_line, already_read;
} cases[CASES] = {
    {"", "", false, false}, {"front", "", false, false}, {"", "rear", false, false}, {"front", "rear", false, false}, {"front", "rear", true, false}, {"front", "rear", false, true},
};

static void expect_text(int fd, const char *text)
{
    char bytes[16];
    size_t done = 0;
    while (done < strlen(text)) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        expect_equal(must(poll(&waiting, 1, 5000)), 1);
        ssize_t got = must(recv(fd, bytes + done, strlen(text) - done, 0));
        expect(got > 0);
        done += (size_t)got;
    }
    if (memcmp(bytes, text, strlen(text)) != 0)
        fail("%.*s came in the place of %s", (int)strlen(text), bytes, text);
}

int main(void)
{
    int clients[CASES], servers[CASES];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(listener, (struct sockaddr *)&address, size));
    must(listen(listener, CASES));
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    for (int i = 0; i < CASES; i++) {
        clients[i] = must(socket(AF_INET, SOCK_STREAM, 0));
        if (connect(clients[i], (struct sockaddr *)&address, size) != 0)
            skip("no loopback network in this cage");
        servers[i] = must(accept(listener, NULL, NULL));
        must(setsockopt(servers[i], SOL_SOCKET, SO_OOBINLINE, &(int){cases[i].in_line}, sizeof(int)));
        if (cases[i].before[0])
            must(send(clients[i], cases[i].before, strlen(cases[i].before), 0));
        must(send(clients[i], "!", 1, MSG_OOB));
        if (cases[i].after[0])
            must(send(clients[i], cases[i].after, strlen(cases[i].after), 0));
        char byte;
        if (cases[i].already_read)
            expect_equal(must(recv(servers[i], &byte, 1, MSG_OOB)), 1);
    }
    ready();
    wait_verify();
    for (int i = 0; i < CASES; i++) {
        char byte = 0;
        struct pollfd urgent = {.fd = servers[i], .events = POLLPRI};
        bool waits = !cases[i].already_read;
        expect_equal(must(poll(&urgent, 1, 0)), waits);
        if (!cases[i].in_line && waits) {
            expect_equal(must(recv(servers[i], &byte, 1, MSG_OOB)), 1);
            expect_equal(byte, '!');
        } else {
            expect_equal(recv(servers[i], &byte, 1, MSG_OOB), -1);
            expect_equal(errno, EINVAL);
        }
        expect_text(servers[i], cases[i].before);
        int mark = -1;
        must(ioctl(servers[i], 0x8905 /* SIOCATMARK */, &mark));
        expect_equal(mark, 1);
        if (cases[i].in_line)
            expect_text(servers[i], "!");
        expect_text(servers[i], cases[i].after);
        expect_equal(must(send(clients[i], "more", 4, 0)), 4);
        expect_text(servers[i], "more");
    }
    ok();
}
