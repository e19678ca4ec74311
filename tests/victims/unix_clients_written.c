// Clients that have written before they are accepted: a stream in several pieces and then its end, packets of their own lengths, much, and a client in another process.
#include "victim.h"
#include <sys/un.h>

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static int listener(int type, const char *path)
{
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, type, 0);
    must(fd);
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    must(listen(fd, 5));
    return fd;
}

static int client(int type)
{
    int fd = must(socket(AF_UNIX, type, 0));
    must(connect(fd, (struct sockaddr *)&address, sizeof address));
    return fd;
}

static void comes(int fd, const char *text, size_t length)
{
    static char back[100000];
    expect_equal(must(recv(fd, back, sizeof back, 0)), length);
    expect(memcmp(back, text, length) == 0);
}

int main(void)
{
    static char many[90000]; // the kernel keeps most of it in pages
    fill(many, sizeof many, 7);
    int packets = listener(SOCK_SEQPACKET, "packets"), first = client(SOCK_SEQPACKET);
    must(send(first, "one", 3, 0));
    must(send(first, many, sizeof many, 0));
    must(send(first, "three", 5, 0));
    int streams = listener(SOCK_STREAM, "streams"), silent = client(SOCK_STREAM), talker = client(SOCK_STREAM);
    must(send(talker, "hello ", 6, 0));
    must(send(talker, "world", 5, 0));
    must(send(silent, many, sizeof many, 0));
    must(shutdown(talker, SHUT_WR));
    int *stage = shared_memory(4096);
    pid_t child = must(fork());
    if (child == 0) {
        int fd = client(SOCK_STREAM);
        must(send(fd, "child", 5, 0));
        *(volatile int *)stage = 1;
        char back[8];
        expect_equal(must(recv(fd, back, 8, 0)), 4);
        _exit(0);
    }
    while (*(volatile int *)stage != 1)
        nap_ms(1);
    ready();
    wait_verify();

    int server = must(accept(packets, NULL, NULL));
    comes(server, "one", 3);
    comes(server, many, sizeof many);
    comes(server, "three", 5);
    server = must(accept(streams, NULL, NULL));
    for (size_t at = 0; at < sizeof many;) {
        static char back[100000];
        int got = must(recv(server, back, sizeof back, 0));
        expect(memcmp(back, many + at, got) == 0);
        at += got;
    }
    must(send(silent, "late", 4, 0));
    comes(server, "late", 4);
    server = must(accept(streams, NULL, NULL));
    comes(server, "hello world", 11);
    comes(server, "", 0);
    must(send(server, "back", 4, 0));
    comes(talker, "back", 4);
    server = must(accept(streams, NULL, NULL));
    comes(server, "child", 5);
    must(send(server, "back", 4, 0));
    reap_success(child);
    must(send(first, "more", 4, 0));
    ok();
}
