// Clients that wait to be accepted, in their order, at a path, at an abstract name, at a relative path whose file is gone; one of
// them under another user, one already done with sending. The listener is told who each of them is, and they who listens.
#include "victim.h"
#include <stddef.h>
#include <sys/un.h>

static struct sockaddr_un address;
static socklen_t address_length;

static void name(const char *path)
{
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path + (*path == '@'), path + (*path == '@'));
    address_length = offsetof(struct sockaddr_un, sun_path) + strlen(path) + (*path != '@');
}

static int listener(int type, int backlog)
{
    int fd = must(socket(AF_UNIX, type, 0));
    must(bind(fd, (struct sockaddr *)&address, address_length));
    must(listen(fd, backlog));
    return fd;
}

static int client(int type)
{
    int fd = must(socket(AF_UNIX, type, 0));
    must(connect(fd, (struct sockaddr *)&address, address_length));
    return fd;
}

static void peer_is(int fd, pid_t pid, uid_t uid, gid_t gid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size));
    if (peer.pid != pid || peer.uid != uid || peer.gid != gid)
        fail("the peer is %d %u:%u, not %d %u:%u", peer.pid, peer.uid, peer.gid, pid, uid, gid);
}

static void talk(int client, int server)
{
    char text[8];
    must(send(client, "hello", 5, 0));
    expect_equal(must(recv(server, text, 8, 0)), 5);
    must(send(server, "back", 4, 0));
    expect_equal(must(recv(client, text, 8, 0)), 4);
}

int main(void)
{
    char text[8];
    name("listening");
    int path = listener(SOCK_STREAM, 3), first = client(SOCK_STREAM), second = client(SOCK_STREAM);
    must(shutdown(second, SHUT_WR));
    char abstract[64];
    snprintf(abstract, sizeof abstract, "@stasis waiting %d %ld", getpid(), (long)now_ns(CLOCK_REALTIME));
    name(abstract);
    int packets = listener(SOCK_SEQPACKET, 1), earlier = client(SOCK_SEQPACKET), accepted = must(accept(packets, NULL, NULL));
    atomic_int *stage = shared_memory(4096); // the child's user can't reach the files here
    pid_t child = must(fork());
    if (child == 0) {
        must(setgid(54321));
        must(setuid(12345));
        int fd = client(SOCK_SEQPACKET);
        *stage = 1;
        while (*stage != 2)
            nap_ms(5);
        expect_equal(must(recv(fd, text, 8, 0)), 5);
        peer_is(fd, getppid(), 0, 0);
        _exit(0);
    }
    while (*stage != 1)
        nap_ms(1);
    name("gone");
    int gone = listener(SOCK_STREAM, 0), last = client(SOCK_STREAM);
    must(unlink("gone"));
    ready();
    wait_verify();

    int server = must(accept(path, NULL, NULL));
    peer_is(server, getpid(), 0, 0);
    peer_is(first, getpid(), 0, 0);
    talk(first, server);
    server = must(accept(path, NULL, NULL));
    expect_equal(must(recv(server, text, 8, 0)), 0);
    must(send(server, "still", 5, 0));
    expect_equal(must(recv(second, text, 8, 0)), 5);
    must(fcntl(path, F_SETFL, O_NONBLOCK));
    expect(accept(path, NULL, NULL) == -1 && errno == EAGAIN);

    talk(earlier, accepted);
    server = must(accept(packets, NULL, NULL));
    peer_is(server, child, 12345, 54321);
    *stage = 2;
    must(send(server, "hello", 5, 0));
    reap_success(child);

    server = must(accept(gone, NULL, NULL));
    talk(last, server);
    struct sockaddr_un own;
    socklen_t size = sizeof own;
    must(getsockname(server, (struct sockaddr *)&own, &size));
    expect(strcmp(own.sun_path, "gone") == 0 && access("gone", F_OK) != 0);
    ok();
}
