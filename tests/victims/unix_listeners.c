// Listening UNIX sockets, with a name in the file system and with an abstract one, accept after the restart.
#include "victim.h"
#include <stddef.h>
#include <sys/un.h>

static int listener(const struct sockaddr_un *address, socklen_t length, int type)
{
    int fd = must(socket(AF_UNIX, type, 0));
    must(bind(fd, (const struct sockaddr *)address, length));
    must(listen(fd, 7));
    return fd;
}

static void use(int fd, const struct sockaddr_un *address, socklen_t length, int type)
{
    struct sockaddr_un own;
    socklen_t own_length = sizeof own;
    must(getsockname(fd, (struct sockaddr *)&own, &own_length));
    expect(own_length == length && memcmp(&own, address, length) == 0);
    int value;
    socklen_t size = sizeof value;
    must(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size));
    expect_equal(value, 1);
    int client = must(socket(AF_UNIX, type, 0));
    must(connect(client, (const struct sockaddr *)address, length));
    int server = must(accept(fd, NULL, NULL));
    char text[10];
    must(send(client, "hello", 5, 0));
    expect_equal(must(recv(server, text, 10, 0)), 5);
    close(client);
    close(server);
}

int main(void)
{
    struct sockaddr_un named = {.sun_family = AF_UNIX, .sun_path = "named"}, abstract = {.sun_family = AF_UNIX};
    int length = snprintf(abstract.sun_path + 1, 90, "stasis victim %d %ld", getpid(), (long)now_ns(CLOCK_REALTIME));
    socklen_t named_length = offsetof(struct sockaddr_un, sun_path) + 6,
              abstract_length = offsetof(struct sockaddr_un, sun_path) + 1 + length;
    int first = listener(&named, named_length, SOCK_STREAM), second = listener(&abstract, abstract_length, SOCK_SEQPACKET);
    must(chmod("named", 0600));
    ready();
    wait_verify();
    struct stat status;
    must(stat("named", &status));
    expect_equal(status.st_mode & 0777, 0600);
    use(first, &named, named_length, SOCK_STREAM);
    use(second, &abstract, abstract_length, SOCK_SEQPACKET);
    ok();
}
