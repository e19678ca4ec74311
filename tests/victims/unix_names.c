// Names of datagram sockets and listeners: a receiver whose file has been removed, with senders that are connected to it and many
// that have sent without being connected, in their order; a relative name from a directory that is not the working directory any
// more; a name that another socket has taken over since.
#include "victim.h"
#include <stddef.h>
#include <sys/un.h>

static struct sockaddr_un at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    return address;
}

static int bound(int type, const char *path)
{
    struct sockaddr_un address = at(path);
    int fd = must(socket(AF_UNIX, type, 0));
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    return fd;
}

static void join(int fd, const char *path)
{
    struct sockaddr_un address = at(path);
    must(connect(fd, (struct sockaddr *)&address, sizeof address));
}

static void is_named(int fd, const char *path)
{
    struct sockaddr_un own = {0};
    socklen_t size = sizeof own;
    must(getsockname(fd, (struct sockaddr *)&own, &size));
    if (strcmp(own.sun_path, path) != 0)
        fail("the name is '%s', not '%s'", own.sun_path, path);
}

int main(void)
{
    char text[32], name[32];
    struct sockaddr_un address;
    must(mkdir("old", 0755));
    must(mkdir("old/inner", 0755));
    must(chdir("old"));
    int relative = bound(SOCK_STREAM, "inner/relative");
    must(listen(relative, 3));
    must(chdir(".."));

    int receiver = bound(SOCK_DGRAM, "receiver"), connected = must(socket(AF_UNIX, SOCK_DGRAM, 0)), named = bound(SOCK_DGRAM, "named");
    join(connected, "receiver");
    join(named, "receiver");
    int senders[8];
    address = at("receiver");
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "sender%d", i);
        senders[i] = i % 3 ? bound(SOCK_DGRAM, name) : must(socket(AF_UNIX, SOCK_DGRAM, 0));
        must(sendto(senders[i], name, strlen(name), 0, (struct sockaddr *)&address, sizeof address));
        if (i % 2)
            must(close(senders[i]));
    }
    must(send(connected, "connected", 9, 0));
    must(send(named, "named", 5, 0));
    must(unlink("receiver"));
    int successor = bound(SOCK_DGRAM, "receiver");
    ready();
    wait_verify();

    is_named(receiver, "receiver");
    is_named(relative, "inner/relative");
    for (int i = 0; i < 8; i++) {
        socklen_t size = sizeof address;
        memset(&address, 0, sizeof address);
        long got = must(recvfrom(receiver, text, sizeof text, MSG_DONTWAIT, (struct sockaddr *)&address, &size));
        snprintf(name, sizeof name, "sender%d", i);
        expect(got == (long)strlen(name) && memcmp(text, name, got) == 0);
        if (i % 3)
            expect(strcmp(address.sun_path, name) == 0);
        else
            expect(size <= sizeof(sa_family_t) || address.sun_path[0] == 0);
    }
    expect_equal(must(recv(receiver, text, sizeof text, MSG_DONTWAIT)), 9);
    expect_equal(must(recv(receiver, text, sizeof text, MSG_DONTWAIT)), 5);
    expect(recv(receiver, text, sizeof text, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    must(send(connected, "again", 5, 0));
    expect_equal(must(recv(receiver, text, sizeof text, MSG_DONTWAIT)), 5);
    // The name belongs to its successor.
    int late = must(socket(AF_UNIX, SOCK_DGRAM, 0));
    address = at("receiver");
    must(sendto(late, "late", 4, 0, (struct sockaddr *)&address, sizeof address));
    expect_equal(must(recv(successor, text, sizeof text, MSG_DONTWAIT)), 4);
    int client = must(socket(AF_UNIX, SOCK_STREAM, 0));
    join(client, "old/inner/relative");
    int server = must(accept(relative, NULL, NULL));
    must(send(client, "x", 1, 0));
    expect_equal(must(recv(server, text, 1, 0)), 1);
    ok();
}
