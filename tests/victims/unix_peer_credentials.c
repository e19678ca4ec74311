// SO_PEERCRED tells after a restart who made a pair, who connected and who listens: pids, users and groups, also of a process
// that has ended.
#include "victim.h"
#include <sys/un.h>

static void peer_is(int line, int fd, pid_t pid, uid_t uid, gid_t gid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size));
    if (peer.pid != pid || peer.uid != uid || peer.gid != gid)
        fail("line %d: the peer is %d %u:%u, not %d %u:%u", line, peer.pid, peer.uid, peer.gid, pid, uid, gid);
}

int main(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "listening"};
    int own[2], listener = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, own));
    // The listener listens as another user: that is what its clients are told.
    must(bind(listener, (struct sockaddr *)&address, sizeof address));
    must(seteuid(8));
    must(listen(listener, 5));
    must(seteuid(0));

    // A child of another user connects, makes a pair, and ends; its descriptors come here.
    int carry[2];
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, carry));
    int directory = must(open(".", O_RDONLY | O_DIRECTORY));
    must(fchmod(directory, 0755));
    must(chmod("listening", 0777));
    pid_t child = must(fork());
    if (child == 0) {
        int fds[3];
        must(setgid(54321));
        must(setuid(12345));
        fds[0] = must(socket(AF_UNIX, SOCK_STREAM, 0));
        must(connect(fds[0], (struct sockaddr *)&address, sizeof address));
        must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds + 1));
        char control[CMSG_SPACE(sizeof fds)] = {0};
        struct iovec part = {"x", 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fds)};
        memcpy(CMSG_DATA(header), fds, sizeof fds);
        must(sendmsg(carry[1], &message, 0));
        _exit(0);
    }
    char byte, control[CMSG_SPACE(3 * sizeof(int))];
    int fds[3];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    must(recvmsg(carry[0], &message, 0));
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fds);
    reap_success(child);
    int accepted = must(accept(listener, NULL, NULL));
    int mine = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must(connect(mine, (struct sockaddr *)&address, sizeof address));
    int server = must(accept(listener, NULL, NULL));
    ready();
    wait_verify();

    peer_is(__LINE__, own[0], getpid(), 0, 0);
    peer_is(__LINE__, own[1], getpid(), 0, 0);
    peer_is(__LINE__, fds[1], child, 12345, 54321);
    peer_is(__LINE__, fds[2], child, 12345, 54321);
    peer_is(__LINE__, fds[0], getpid(), 8, 0);
    peer_is(__LINE__, accepted, child, 12345, 54321);
    must(send(fds[0], "z", 1, 0));
    expect_equal(must(recv(accepted, &byte, 1, 0)), 1);
    peer_is(__LINE__, mine, getpid(), 8, 0);
    peer_is(__LINE__, server, getpid(), 0, 0);
    must(send(mine, "z", 1, 0));
    expect_equal(must(recv(server, &byte, 1, 0)), 1);
    // Whoever connects from now on is told the same.
    int late = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must(connect(late, (struct sockaddr *)&address, sizeof address));
    peer_is(__LINE__, late, getpid(), 8, 0);
    ok();
}
